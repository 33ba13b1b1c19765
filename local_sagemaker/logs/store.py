"""Log groups, streams and events in a database of their own.

Its commits are not forced to the disk one by one (`synchronous=NORMAL`): a killed server loses nothing, a power cut may
lose the last lines, and a job that prints much is not slowed down.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log_groups (
    seq INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL, bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS streams (
    seq INTEGER PRIMARY KEY,
    log_group INTEGER NOT NULL REFERENCES log_groups(seq) ON DELETE CASCADE,
    name TEXT NOT NULL,
    created INTEGER NOT NULL,
    first INTEGER,
    last INTEGER,
    ingested INTEGER,
    UNIQUE (log_group, name)
);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL REFERENCES streams(seq) ON DELETE CASCADE,
    time INTEGER NOT NULL,
    ingested INTEGER NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_stream ON events(stream, time, seq);
"""


class LogStore:
    """One connection behind one lock: writes are short, and so are the pages that are read."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-2000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """What a SELECT finds."""
        with self._lock:
            return self._connection.execute(statement, tuple(values)).fetchall()

    def close(self) -> None:
        """Close the connection; a request that comes later fails."""
        with self._lock:
            self._connection.close()
