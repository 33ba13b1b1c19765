"""The catalog: everything about objects that their files cannot store, and all buckets and unfinished uploads.

An object's row is identified by its file's size and modification time (in nanoseconds, unique for a key). The row is
written before the file is renamed to its final path, so the rename is what makes a write effective. A file that was
created by hand has no row. Commits are not synchronous: like the files, they survive a kill at any moment, but a power
failure may lose the last seconds.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

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
    """An object's checksum: the algorithm (one of checksums.ALGORITHMS), the value in base64, and its type."""

    algorithm: str
    value: str
    kind: str = "FULL_OBJECT"


@dataclass(frozen=True)
class Info:
    """An object's metadata."""

    etag: str = ""
    """The ETag, without quotes."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Content-Type and similar headers, which every GET returns; names in lower case."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    checksum: Checksum | None = None
    parts: tuple[tuple[int, str | None], ...] = ()
    """(size, checksum) of each part of a multipart upload."""

    def text(self) -> str:
        """As JSON text for the catalog."""
        found = {"etag": self.etag, "headers": self.headers, "metadata": self.metadata, "tags": self.tags}
        more = {"checksum": asdict(self.checksum) if self.checksum else None, "parts": self.parts}
        return json.dumps({name: value for name, value in (found | more).items() if value})

    @classmethod
    def parse(cls, text: str) -> Info:
        """Parse the result of `text`."""
        found = json.loads(text)
        checksum = Checksum(**found["checksum"]) if found.get("checksum") else None
        parts = tuple((size, value) for size, value in found.get("parts", ()))
        return replace(cls(**{**found, "checksum": None, "parts": ()}), checksum=checksum, parts=parts)


@dataclass(frozen=True)
class Bucket:
    """A bucket's row; `location` is its region, None for a bucket that was created by hand."""

    name: str
    created: float
    location: str | None
    tags: Mapping[str, str] | None


@dataclass(frozen=True)
class Upload:
    """A multipart upload. `completed` is the ETag of the completed object, `stride` the size of the upload's slots."""

    id: str
    bucket: str
    key: str
    created: float
    info: Info
    completed: str | None = None
    stride: int | None = None


@dataclass(frozen=True)
class Part:
    """A part of an upload; `file` is the name of its file in the upload's folder."""

    number: int
    file: str
    size: int
    etag: str
    checksum: str | None
    modified: float


class Catalog:
    """The SQLite database for one folder of buckets."""

    def __init__(self, path: Path) -> None:
        self._db = SqliteDatabase(path, migrations=_MIGRATIONS, synchronous="NORMAL")

    def bucket(self, name: str) -> Bucket | None:
        """A bucket's row; None for one that was created by hand."""
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
        """The metadata of the object whose file has this modification time and size."""
        query = "SELECT info FROM objects WHERE bucket = ? AND key = ? AND modified = ? AND size = ?"
        row = self._db.read().execute(query, (bucket, key.encode(), modified, size)).fetchone()
        return Info.parse(row[0]) if row else None

    def infos(self, bucket: str, keys: Sequence[str]) -> dict[tuple[str, int, int], Info]:
        """The same for several keys, by (key, modified, size)."""
        marks = ", ".join("?" * len(keys))
        query = f"SELECT key, modified, size, info FROM objects WHERE bucket = ? AND key IN ({marks})"  # noqa: S608
        rows = self._db.read().execute(query, (bucket, *(key.encode() for key in keys)))
        return {(row[0].decode(), row[1], row[2]): Info.parse(row[3]) for row in rows}

    def save_info(self, bucket: str, key: str, modified: int, size: int, info: Info, *, beside: int | None) -> None:
        """Write an object's metadata, and delete the key's other rows except the one with the time `beside`."""
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
        """Record that an upload was completed, and delete its parts."""
        with self._db.write() as writer:
            writer.execute("DELETE FROM parts WHERE upload = ?", (upload_id,))
            writer.execute("UPDATE uploads SET completed = ? WHERE id = ?", (etag, upload_id))

    def set_stride(self, upload_id: str, stride: int) -> None:
        """Set the size of an upload's slots."""
        with self._db.write() as writer:
            writer.execute("UPDATE uploads SET stride = ? WHERE id = ?", (stride, upload_id))

    def keep_parts(self, upload_id: str, numbers: Sequence[int]) -> None:
        """Delete all parts of an upload except these."""
        with self._db.write() as writer:
            known = writer.execute("SELECT number FROM parts WHERE upload = ?", (upload_id,)).fetchall()
            for number in {row[0] for row in known} - set(numbers):
                writer.execute("DELETE FROM parts WHERE upload = ? AND number = ?", (upload_id, number))

    def forget_upload(self, upload_id: str) -> None:
        """Remove an upload and its parts."""
        with self._db.write() as writer:
            writer.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))

    def forget_old_uploads(self, *, unfinished_before: float, completed_before: float) -> None:
        """Remove uploads that were created before these times."""
        query = "DELETE FROM uploads WHERE created < CASE WHEN completed IS NULL THEN ? ELSE ? END"
        with self._db.write() as writer:
            writer.execute(query, (unfinished_before, completed_before))

    def unfinished_ids(self) -> set[str]:
        """The ids of all unfinished uploads."""
        return {row[0] for row in self._db.read().execute("SELECT id FROM uploads WHERE completed IS NULL")}

    def save_part(self, upload_id: str, part: Part) -> str | None:
        """Write a part; return the name of the file that it replaces."""
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
    return Upload(**{**dict(row), "key": row["key"].decode(), "info": Info.parse(row["info"])})
