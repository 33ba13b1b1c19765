"""The output of one host: lines out of bytes, secrets masked, metrics found, all within limits."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

MAX_LINE = 64 * 1024
"""Longer lines are cut here (CloudWatch Logs takes at most 256 KB an event, four bytes a character)."""
_METRIC_LINE = 4096
_SECRETS = (
    (re.compile(r"(://[^\s:/@]{0,256}:)[^\s@/]+(@)"), r"\1******\2"),
    (re.compile(r"((?:AUTH_TOKEN|SECRET_ACCESS_KEY|SESSION_TOKEN)\s*[=:]\s*)\S+"), r"\1******"),
)


def mask(line: str) -> str:
    """Hide passwords in URLs and tokens in assignments: the SDK's installer logs its CodeArtifact token."""
    if "://" in line or "TOKEN" in line or "SECRET" in line:
        for pattern, replacement in _SECRETS:
            line = pattern.sub(replacement, line)
    return line


class LineSplitter:
    """Lines out of arbitrary bytes, binary ones included."""

    def __init__(self) -> None:
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
        """Yield what is left without a newline."""
        if self._rest:
            yield from self._cut(self._rest)
            self._rest = b""

    @staticmethod
    def _cut(line: bytes) -> Iterator[str]:
        text = line.decode("utf-8", "replace").rstrip("\r").replace("\x00", "\ufffd")
        for start in range(0, max(len(text), 1), MAX_LINE):
            yield mask(text[start : start + MAX_LINE])


@dataclass
class MetricFinder:
    """The MetricDefinitions of a job, applied to each line."""

    definitions: list[tuple[str, re.Pattern[str]]]

    @classmethod
    def of(cls, definitions: list[dict[str, str]]) -> MetricFinder:
        """Compile Name and Regex pairs; a regex that Python cannot compile finds nothing."""
        compiled = []
        for definition in definitions:
            try:
                compiled.append((definition["Name"], re.compile(definition["Regex"])))
            except re.error:
                continue
        return cls(compiled)

    def find(self, line: str) -> Iterator[tuple[str, float]]:
        """Yield (name, value) of every metric in `line`: the first group, as a number."""
        line = line[:_METRIC_LINE]
        for name, pattern in self.definitions:
            for match in pattern.finditer(line):
                try:
                    yield name, float(match.group(1))
                except (IndexError, TypeError, ValueError):
                    continue


@dataclass
class CappedSink:
    """Passes lines on until `limit` bytes; then keeps the last ones, which `close` passes on behind a notice."""

    write: Callable[[int, str], None]
    limit: int
    what: str
    tail_lines: int = 200
    _used: int = 0
    _dropped: int = 0
    _tail: deque[tuple[int, str]] = field(default_factory=deque)

    def add(self, milliseconds: int, line: str) -> None:
        """Take one line."""
        self._used += len(line) + 1
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
        """Pass on the tail that the limit held back."""
        left_out = self._dropped - len(self._tail)
        if left_out > 0:
            self.write(self._tail[0][0], f"[{left_out} lines left out]")
        for milliseconds, line in self._tail:
            self.write(milliseconds, line[:4096])
        self._tail.clear()


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def open_append(path: str) -> BinaryIO:
    """Open a log for appending without a buffer, so that it is whole up to the last line at any death."""
    return Path(path).open("ab", buffering=0)


Message = dict[str, Any]
