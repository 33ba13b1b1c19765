"""The one database of everything but S3 and the logs: each write is on the disk when it is answered."""

from __future__ import annotations

from pathlib import Path

from local_sagemaker.sqlite_database import SqliteDatabase
from local_sagemaker.store.schema import MIGRATIONS


class Database(SqliteDatabase):
    """Connections to one database file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, migrations=MIGRATIONS)
