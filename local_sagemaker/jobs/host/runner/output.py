"""A host's output: splits it into lines, masks secrets and finds metrics, all with limits."""

from __future__ import annotations

import re
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

MAX_LINE = 64 * 1024
"""Longer lines are split (CloudWatch Logs accepts at most 256 KB per event; a character has up to four bytes)."""
_METRIC_LINE = 4096
LINE_OVERHEAD = 26
"""Bytes that CloudWatch Logs adds for each event (PutLogEvents), so that empty lines count, too."""
_GIVEN_UP = (
    "local SageMaker: the metric '{name}' was dropped: its regex took more than {seconds} s for one line: {regex!r}."
    " Do not nest repetitions, as in (a+)+."
)
_SECRETS = (
    (re.compile(r"(://[^\s:/@]{0,256}:)[^\s@/]+(@)"), r"\1******\2"),
    (re.compile(r"((?:AUTH_TOKEN|SECRET_ACCESS_KEY|SESSION_TOKEN)\s*[=:]\s*)\S+"), r"\1******"),
)


_SECRET_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_SECRET_LENGTH = 16
"""The minimum length of an access key id (IAM API reference, AccessKey); shorter words could occur in other text."""


class Mask:
    """Masks the job's keys, passwords in URLs, and tokens in assignments.

    The SDK's driver logs the environment, and its installer the CodeArtifact token.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        values = {env.get(name, "") for name in _SECRET_NAMES}
        self._values = sorted(value for value in values if len(value) >= _SECRET_LENGTH)

    def __call__(self, text: str) -> str:
        """Return the text with secrets masked."""
        for value in self._values:
            text = text.replace(value, "******")
        if "://" in text or "TOKEN" in text or "SECRET" in text:
            for pattern, replacement in _SECRETS:
                text = pattern.sub(replacement, text)
        return text


class LineSplitter:
    """Splits any bytes into lines."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that `data` completes."""
        *lines, rest = (self._rest + data).split(b"\n")
        while len(rest) > MAX_LINE:
            lines.append(rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rest = rest
        for line in lines:
            yield from self._cut(line)

    def close(self) -> Iterator[str]:
        """Yield the last line if it has no newline."""
        if self._rest:
            yield from self._cut(self._rest)
            self._rest = b""

    def _cut(self, line: bytes) -> Iterator[str]:
        text = line.decode("utf-8", "replace").rstrip("\r").replace("\x00", "\ufffd")
        for start in range(0, max(len(text), 1), MAX_LINE):
            yield self._mask(text[start : start + MAX_LINE])


class _TooSlow(Exception):
    """A regex has exceeded its time for a line."""


class _Stopwatch:
    """Interrupts a regex after some CPU time: Python's matcher checks for signals, but only in the main thread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._runs = False
        signal.signal(signal.SIGVTALRM, self._ring)

    def _ring(self, _number: int, _frame: object) -> None:
        if self._runs:
            raise _TooSlow

    def __enter__(self) -> None:
        self._runs = True
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)

    def __exit__(self, *_: object) -> None:
        self._runs = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


@dataclass
class MetricFinder:
    """Finds a job's metrics in each line. Use it only in the main thread.

    A regex that takes more than `line_seconds` of CPU time for a line is dropped, and `note` is called: `(a+)+$` would
    need centuries for 60 characters.
    """

    definitions: list[tuple[str, re.Pattern[str]]]
    note: Callable[[str], None] = lambda _: None
    line_seconds: float = 0.5

    @classmethod
    def of(cls, definitions: list[dict[str, str]], note: Callable[[str], None] = lambda _: None) -> MetricFinder:
        """Compile Name and Regex pairs; ignores a regex that Python cannot compile."""
        compiled = []
        for definition in definitions:
            try:
                compiled.append((definition["Name"], re.compile(definition["Regex"])))
            except re.error:
                continue
        return cls(compiled, note)

    def __post_init__(self) -> None:
        self._stopwatch = _Stopwatch(self.line_seconds) if self.definitions else None

    def find(self, line: str) -> Iterator[tuple[str, float]]:
        """Yield (name, value) of each metric in `line`; the value is the regex's first group."""
        line = line[:_METRIC_LINE]
        for name, pattern in list(self.definitions):
            for match in self._matches(name, pattern, line):
                try:
                    yield name, float(match.group(1))
                except (IndexError, TypeError, ValueError):
                    continue

    def _matches(self, name: str, pattern: re.Pattern[str], line: str) -> list[re.Match[str]]:
        if self._stopwatch is None:
            return []
        try:
            with self._stopwatch:
                return list(pattern.finditer(line))
        except _TooSlow:
            self.definitions.remove((name, pattern))
            self.note(_GIVEN_UP.format(name=name, regex=pattern.pattern[:200], seconds=self.line_seconds))
            return []


@dataclass
class CappedSink:
    """Passes on lines until `limit` bytes; then keeps only the last lines, which `close` passes on after a notice."""

    write: Callable[[int, str], None]
    limit: int
    what: str
    overhead: int = 1
    """Bytes per line in addition to its text."""
    tail_lines: int = 200
    _used: int = 0
    _dropped: int = 0
    _tail: deque[tuple[int, str]] = field(default_factory=deque)

    def add(self, milliseconds: int, line: str) -> None:
        """Add a line."""
        self._used += len(line) + self.overhead
        if self._used <= self.limit:
            self.write(milliseconds, line)
            return
        if self._dropped == 0:
            self.write(milliseconds, f"[{self.what} reached {self.limit} bytes; only its last lines will follow]")
        self._dropped += 1
        self._tail.append((milliseconds, line))
        if len(self._tail) > self.tail_lines:
            self._tail.popleft()

    def close(self) -> None:
        """Pass on the last lines."""
        left_out = self._dropped - len(self._tail)
        if left_out > 0:
            self.write(self._tail[0][0], f"[{left_out} lines omitted]")
        for milliseconds, line in self._tail:
            self.write(milliseconds, line[:4096])
        self._tail.clear()


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return int(time.time() * 1000)


def open_append(path: str) -> BinaryIO:
    """Open a log for appending without a buffer, so that no line is lost if the process is killed."""
    return Path(path).open("ab", buffering=0)
