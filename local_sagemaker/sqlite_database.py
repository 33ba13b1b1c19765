"""A SQLite database in WAL mode: one writer at a time, each write committed before it is answered.

Readers have a connection per thread and never wait. A writer takes the lock and BEGIN IMMEDIATE, so that what it read
inside its transaction still holds when it writes. With `synchronous=FULL` a commit is on the disk when it returns.
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
        # a table is rebuilt by dropping the old one, which must not delete the rows that refer to it
        self._writer.execute("PRAGMA foreign_keys=OFF")
        for number in range(version, known):
            with self.write() as writer:
                for statement in self._migrations[number].split(";"):
                    if statement.strip():
                        writer.execute(statement)
                writer.execute(f"PRAGMA user_version={number + 1}")
        self._writer.execute("PRAGMA foreign_keys=ON")

    def read(self) -> sqlite3.Connection:
        """This thread's own connection, for reading; for threads that live as long as the server."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            with self._lock:
                self._readers.append(connection)
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed when the block ends, rolled back when it raises; a nested one joins the outer."""
        with self._lock:
            if self._writer.in_transaction:
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back by itself, and a COMMIT that failed leaves the transaction open: the
                # next write would join it and be answered without ever being committed.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close every connection; other threads must have ended."""
        with self._lock:
            for connection in (*self._readers, self._writer):
                connection.close()
            self._readers.clear()
