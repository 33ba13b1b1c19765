"""Log groups, streams and events, in a separate database.

Commits are not synchronous (`synchronous=NORMAL`), so that jobs that print much are not slowed down: a killed server
loses nothing, but a power failure may lose the last lines.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from local_sagemaker.sqlite_database import SqliteDatabase

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
    """The logs' database, used by request threads."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; StartError if that fails."""
        self._db = SqliteDatabase(path, migrations=(_SCHEMA,), synchronous="NORMAL")

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """Run a transaction."""
        return self._db.write()

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """The rows of a SELECT."""
        return self._db.read().execute(statement, tuple(values)).fetchall()

    def close(self) -> None:
        """Close the connections; later requests fail."""
        self._db.close()
