"""Sends a job's output to CloudWatch Logs, in batches from a separate thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import TypedDict

from local_sagemaker.types import BotoClient

log = logging.getLogger(__name__)

_BATCH_EVENTS = 5000
_BATCH_BYTES = 900_000
"""PutLogEvents accepts 10,000 events and 1,048,576 bytes, including 26 for each event."""
_INTERVAL_SECONDS = 0.5
_MAX_WAITING = 4 * _BATCH_EVENTS
"""The maximum number of lines that are not stored yet."""
_MAX_WAIT_SECONDS = 60.0
"""The maximum time that a job waits for its log."""


class LogEvent(TypedDict):
    """One of PutLogEvents' logEvents."""

    timestamp: int
    message: str


class LogShipper:
    """Writes a job's log streams. Lines that CloudWatch Logs rejects are still in the job's log file."""

    def __init__(self, client: BotoClient, group: str) -> None:
        self._client = client
        self._group = group
        self._pending: dict[str, list[tuple[int, str]]] = {}
        self._created: set[str] = set()
        self._waiting = 0
        self._room = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="log-shipper", daemon=True)
        self._thread.start()

    def add(self, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        """Queue (milliseconds, line) pairs; blocks if too many are queued, which slows down the program."""
        with self._room:
            self._room.wait_for(lambda: self._waiting < _MAX_WAITING or self._closing.is_set(), _MAX_WAIT_SECONDS)
            self._pending.setdefault(stream, []).extend((int(ms), str(line)) for ms, line in lines)
            self._waiting += len(lines)

    def close(self) -> None:
        """Write the remaining lines."""
        with self._room:
            self._closing.set()
            self._room.notify_all()
        self._thread.join(30)

    def _work(self) -> None:
        while not self._closing.is_set():
            with self._room:
                self._room.wait_for(lambda: self._waiting >= _BATCH_EVENTS or self._closing.is_set(), _INTERVAL_SECONDS)
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._room:
            pending, self._pending, self._waiting = self._pending, {}, 0
            self._room.notify_all()
        for stream, lines in pending.items():
            for batch in batches(lines):
                self._put(stream, batch)

    def _put(self, stream: str, batch: list[LogEvent]) -> None:
        for attempt in range(3):
            try:
                self._create(stream)
                self._client.put_log_events(logGroupName=self._group, logStreamName=stream, logEvents=batch)
                return
            except Exception as error:  # a failing log must never end a job
                if attempt == 2:
                    log.warning("%d lines of %s were not stored: %s", len(batch), stream, error)
                else:
                    time.sleep(0.1 * (attempt + 1))

    def _create(self, stream: str) -> None:
        if stream in self._created:
            return
        exists = self._client.exceptions.ResourceAlreadyExistsException
        for create, arguments in (
            (self._client.create_log_group, {"logGroupName": self._group}),
            (self._client.create_log_stream, {"logGroupName": self._group, "logStreamName": stream}),
        ):
            try:
                create(**arguments)
            except exists:
                continue
        self._created.add(stream)


def batches(lines: list[tuple[int, str]]) -> list[list[LogEvent]]:
    """Split lines into batches for PutLogEvents. It rejects empty messages, so an empty line becomes a space."""
    result: list[list[LogEvent]] = [[]]
    size = 0
    for milliseconds, line in lines:
        event_size = len(line.encode("utf-8", "replace")) + 26
        if result[-1] and (size + event_size > _BATCH_BYTES or len(result[-1]) >= _BATCH_EVENTS):
            result.append([])
            size = 0
        size += event_size
        result[-1].append({"timestamp": milliseconds, "message": line or " "})
    return [batch for batch in result if batch]
