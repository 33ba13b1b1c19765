"""The JSON between the server, a host's runner, and the host's first process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict


@dataclass(frozen=True)
class HostConfig:
    """The runner's configuration, written as JSON next to the host's files."""

    host: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    ml: str
    mount: bool
    pid_namespace: bool
    hosts_file: str | None
    log_file: str
    metrics_file: str
    metric_definitions: list[dict[str, str]] = field(default_factory=list)
    log_file_bytes: int = 64 * 2**20
    log_stream_bytes: int = 8 * 2**20
    max_processes: int = 2048


class Message(TypedDict, total=False):
    """A line of JSON. The last one of a host has `exit` or `error`."""

    log: list[tuple[int, str]]
    """Lines of output with their times in milliseconds."""
    metrics: list[tuple[str, float, int]]
    """Values found in the output: name, value, milliseconds."""
    note: str
    """A line that the first process adds to the output."""
    exit: int | None
    """The program's wait status; None if it is unknown."""
    reason: str | None
    """Why the host was ended, if it did not end on its own."""
    error: str
    """Why the host could not be started."""
    tail: list[str]
    """The last lines of output."""
    ended: bool
    """The runner has ended."""
