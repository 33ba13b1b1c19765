"""The database for everything except S3 and logs. A write is on disk before its response is sent."""

from __future__ import annotations

from pathlib import Path

from local_sagemaker.sqlite_database import SqliteDatabase
from local_sagemaker.store.schema import MIGRATIONS


class Database(SqliteDatabase):
    """Connections to one database file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, migrations=MIGRATIONS)
