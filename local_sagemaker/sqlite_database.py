"""A SQLite database in WAL mode: one writer at a time, each write committed before its response is sent.

Each reading thread has its own connection and never waits. A writer takes a lock and uses BEGIN IMMEDIATE, so that what
it reads in its transaction is still true when it writes. With `synchronous=FULL`, a commit is on disk when it returns.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from local_sagemaker.errors import StartError


class SqliteDatabase:
    """Connections to one database file."""

    def __init__(
        self, path: Path, *, migrations: Sequence[str], synchronous: Literal["FULL", "NORMAL"] = "FULL"
    ) -> None:
        self._path = path
        self._migrations = migrations
        self._synchronous = synchronous
        self._local = threading.local()
        self._lock = threading.RLock()
        self._readers: list[sqlite3.Connection] = []
        try:
            self._writer = self._connect()
            self._migrate()
        except sqlite3.DatabaseError as error:  # a full disk, a damaged file
            text = f"{path} cannot be opened: {error}. Free disk space, restore the file, or use another --data-dir"
            raise StartError(text) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", f"synchronous={self._synchronous}", "foreign_keys=ON", "cache_size=-4000"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _migrate(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        known = len(self._migrations)
        if version > known:
            raise StartError(
                f"{self._path} was written by a newer version (schema {version}, this one knows {known}):"
                " use that version, or another --data-dir"
            )
        if version == known:
            return
        # migrations rebuild tables; dropping the old table must not delete rows that refer to it
        self._writer.execute("PRAGMA foreign_keys=OFF")
        for number in range(version, known):
            with self.write() as writer:
                for statement in self._migrations[number].split(";"):
                    if statement.strip():
                        writer.execute(statement)
                writer.execute(f"PRAGMA user_version={number + 1}")
        self._writer.execute("PRAGMA foreign_keys=ON")

    def read(self) -> sqlite3.Connection:
        """This thread's connection for reading; only for threads that live as long as the server."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            with self._lock:
                self._readers.append(connection)
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed when the block ends, rolled back if it raises. A nested one joins the outer one."""
        with self._lock:
            if self._writer.in_transaction:
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # A full disk may already have rolled back, and a failed COMMIT leaves the transaction open: the
                # next write would join it and get a response without ever being committed.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close every connection; other threads must have ended."""
        with self._lock:
            for connection in (*self._readers, self._writer):
                connection.close()
            self._readers.clear()
