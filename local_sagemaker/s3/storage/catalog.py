"""What a plain file cannot hold of an object: ETag, headers, metadata, tags, checksum; buckets and unfinished uploads.

The row of an object belongs to its file by the file's time of modification (in nanoseconds, never twice for one key)
and size. It is written before the file gets its name, so that the one rename of a write decides which row counts, and
a file that was put there by hand has none. Commits are not synchronous: they outlive the process at any moment, as the
files do, but not the last seconds before a power failure.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from local_sagemaker.sqlite_database import SqliteDatabase

_MIGRATIONS = (
    """
    CREATE TABLE buckets (name TEXT PRIMARY KEY, created REAL NOT NULL, location TEXT, tags TEXT);
    CREATE TABLE objects (
        bucket TEXT NOT NULL, key BLOB NOT NULL, modified INTEGER NOT NULL, size INTEGER NOT NULL, info TEXT NOT NULL,
        PRIMARY KEY (bucket, key, modified)
    ) WITHOUT ROWID;
    CREATE TABLE uploads (
        id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, created REAL NOT NULL,
        info TEXT NOT NULL, completed TEXT, stride INTEGER
    );
    CREATE INDEX uploads_of_bucket ON uploads (bucket, key, id);
    CREATE TABLE parts (
        upload TEXT NOT NULL REFERENCES uploads ON DELETE CASCADE, number INTEGER NOT NULL, file TEXT NOT NULL,
        size INTEGER NOT NULL, etag TEXT NOT NULL, checksum TEXT, modified REAL NOT NULL,
        PRIMARY KEY (upload, number)
    ) WITHOUT ROWID;
    """,
)


@dataclass(frozen=True)
class Checksum:
    """An object's checksum: one of checksums.ALGORITHMS, base64, and FULL_OBJECT or COMPOSITE."""

    algorithm: str
    value: str
    kind: str = "FULL_OBJECT"


@dataclass(frozen=True)
class Info:
    """What is kept of an object beside its content."""

    etag: str = ""
    """Without quotes."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Content-Type and the like, as every GET sends them again; names in lower case."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    checksum: Checksum | None = None
    parts: tuple[tuple[int, str | None], ...] = ()
    """(size, checksum) of each part of an upload in parts."""

    def text(self) -> str:
        """As the catalog keeps it."""
        found = {"etag": self.etag, "headers": self.headers, "metadata": self.metadata, "tags": self.tags}
        more = {"checksum": asdict(self.checksum) if self.checksum else None, "parts": self.parts}
        return json.dumps({name: value for name, value in (found | more).items() if value})

    @classmethod
    def parse(cls, text: str) -> Info:
        """Read what `text` gave."""
        found = json.loads(text)
        checksum = Checksum(**found["checksum"]) if found.get("checksum") else None
        parts = tuple((size, value) for size, value in found.get("parts", ()))
        return replace(cls(**{**found, "checksum": None, "parts": ()}), checksum=checksum, parts=parts)


@dataclass(frozen=True)
class Bucket:
    """A bucket's row; `location` is a region, None for a bucket that was made by hand."""

    name: str
    created: float
    location: str | None
    tags: Mapping[str, str] | None


@dataclass(frozen=True)
class Upload:
    """An upload in parts; `completed` is the ETag of the object that it became, `stride` the size of its slots."""

    id: str
    bucket: str
    key: str
    created: float
    info: Info
    completed: str | None = None
    stride: int | None = None


@dataclass(frozen=True)
class Part:
    """A part of an upload, and the name of its file in the upload's folder."""

    number: int
    file: str
    size: int
    etag: str
    checksum: str | None
    modified: float


class Catalog:
    """The SQLite database of one folder of buckets."""

    def __init__(self, path: Path) -> None:
        self._db = SqliteDatabase(path, migrations=_MIGRATIONS, synchronous="NORMAL")

    def bucket(self, name: str) -> Bucket | None:
        """The row of a bucket; one that was made by hand has none."""
        row = self._db.read().execute("SELECT * FROM buckets WHERE name = ?", (name,)).fetchone()
        return _bucket(row) if row else None

    def save_bucket(self, bucket: Bucket) -> None:
        """Write a bucket's row."""
        tags = json.dumps(dict(bucket.tags)) if bucket.tags is not None else None
        with self._db.write() as writer:
            values = (bucket.name, bucket.created, bucket.location, tags)
            writer.execute("REPLACE INTO buckets VALUES (?, ?, ?, ?)", values)

    def forget_bucket(self, name: str) -> None:
        """Remove everything about a bucket."""
        with self._db.write() as writer:
            writer.execute("DELETE FROM uploads WHERE bucket = ?", (name,))
            writer.execute("DELETE FROM objects WHERE bucket = ?", (name,))
            writer.execute("DELETE FROM buckets WHERE name = ?", (name,))

    def info(self, bucket: str, key: str, modified: int, size: int) -> Info | None:
        """What is kept of the object whose file has this time and size."""
        query = "SELECT info FROM objects WHERE bucket = ? AND key = ? AND modified = ? AND size = ?"
        row = self._db.read().execute(query, (bucket, key.encode(), modified, size)).fetchone()
        return Info.parse(row[0]) if row else None

    def infos(self, bucket: str, keys: Sequence[str]) -> dict[tuple[str, int, int], Info]:
        """The same for some keys, by (key, modified, size)."""
        marks = ", ".join("?" * len(keys))
        query = f"SELECT key, modified, size, info FROM objects WHERE bucket = ? AND key IN ({marks})"  # noqa: S608
        rows = self._db.read().execute(query, (bucket, *(key.encode() for key in keys)))
        return {(row[0].decode(), row[1], row[2]): Info.parse(row[3]) for row in rows}

    def save_info(self, bucket: str, key: str, modified: int, size: int, info: Info, *, beside: int | None) -> None:
        """Write what is kept of an object; of the key's other rows only the one of the time `beside` stays."""
        name = key.encode()
        with self._db.write() as writer:
            query = "DELETE FROM objects WHERE bucket = ? AND key = ? AND modified IS NOT ?"
            writer.execute(query, (bucket, name, beside))
            writer.execute("REPLACE INTO objects VALUES (?, ?, ?, ?, ?)", (bucket, name, modified, size, info.text()))

    def forget_infos(self, bucket: str, key: str) -> None:
        """Remove the rows of a key."""
        with self._db.write() as writer:
            writer.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key.encode()))

    def add_upload(self, upload: Upload) -> None:
        """Write a new upload."""
        with self._db.write() as writer:
            values = (upload.id, upload.bucket, upload.key.encode(), upload.created, upload.info.text())
            writer.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?, NULL, NULL)", values)

    def upload(self, upload_id: str) -> Upload | None:
        """One upload, finished or not."""
        row = self._db.read().execute("SELECT * FROM uploads WHERE id = ?", (upload_id,)).fetchone()
        return _upload(row) if row else None

    def uploads(self, bucket: str) -> list[Upload]:
        """The unfinished uploads of a bucket by key, then by age."""
        query = "SELECT * FROM uploads WHERE bucket = ? AND completed IS NULL ORDER BY key, created, id"
        return [_upload(row) for row in self._db.read().execute(query, (bucket,))]

    def complete_upload(self, upload_id: str, etag: str) -> None:
        """Keep that an upload has become an object; its parts are forgotten."""
        with self._db.write() as writer:
            writer.execute("DELETE FROM parts WHERE upload = ?", (upload_id,))
            writer.execute("UPDATE uploads SET completed = ? WHERE id = ?", (etag, upload_id))

    def set_stride(self, upload_id: str, stride: int) -> None:
        """Keep the size of an upload's slots."""
        with self._db.write() as writer:
            writer.execute("UPDATE uploads SET stride = ? WHERE id = ?", (stride, upload_id))

    def keep_parts(self, upload_id: str, numbers: Sequence[int]) -> None:
        """Forget all parts of an upload but these."""
        with self._db.write() as writer:
            known = writer.execute("SELECT number FROM parts WHERE upload = ?", (upload_id,)).fetchall()
            for number in {row[0] for row in known} - set(numbers):
                writer.execute("DELETE FROM parts WHERE upload = ? AND number = ?", (upload_id, number))

    def forget_upload(self, upload_id: str) -> None:
        """Remove an upload and its parts."""
        with self._db.write() as writer:
            writer.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))

    def forget_old_uploads(self, *, unfinished_before: float, completed_before: float) -> None:
        """Remove uploads that were begun before these times."""
        query = "DELETE FROM uploads WHERE created < CASE WHEN completed IS NULL THEN ? ELSE ? END"
        with self._db.write() as writer:
            writer.execute(query, (unfinished_before, completed_before))

    def unfinished_ids(self) -> set[str]:
        """The ids of all uploads whose parts are still needed."""
        return {row[0] for row in self._db.read().execute("SELECT id FROM uploads WHERE completed IS NULL")}

    def save_part(self, upload_id: str, part: Part) -> str | None:
        """Write a part; gives the name of the file that it replaces."""
        with self._db.write() as writer:
            query = "SELECT file FROM parts WHERE upload = ? AND number = ?"
            earlier = writer.execute(query, (upload_id, part.number)).fetchone()
            values = (upload_id, part.number, part.file, part.size, part.etag, part.checksum, part.modified)
            writer.execute("REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            return earlier[0] if earlier else None

    def parts(self, upload_id: str) -> Iterator[Part]:
        """The parts of an upload by number."""
        query = "SELECT number, file, size, etag, checksum, modified FROM parts WHERE upload = ? ORDER BY number"
        for row in self._db.read().execute(query, (upload_id,)):
            yield Part(*row)


def _bucket(row: sqlite3.Row) -> Bucket:
    return Bucket(row["name"], row["created"], row["location"], json.loads(row["tags"]) if row["tags"] else None)


def _upload(row: sqlite3.Row) -> Upload:
    values: dict[str, Any] = {**dict(row), "key": row["key"].decode(), "info": Info.parse(row["info"])}
    return Upload(**values)
