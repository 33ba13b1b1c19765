"""Write a partition's splits completely or not at all.

Rows are first written to a temporary folder below `.aside`. The commit removes the old manifest, moves the files into
place and writes the new manifest last: a partition without `manifest.json` is incomplete, and one with it contains
exactly the files whose sha256 it lists. A rerun overwrites the partition.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import polars as pl
import pyarrow.parquet as pq

from preprocessing.json_types import JsonObject

MANIFEST = "manifest.json"
SPLITS = ("train", "val", "test")
GROUP_ROWS = 131_072
"""Rows per row group; the file does not depend on the pieces in which rows are added."""


def split_key(split: str) -> str:
    """Return a split's path below the partition's folder: `train/train.parquet`."""
    return f"{split}/{split}.parquet"


class Aside:
    """The splits of a partition while they are being written; see `aside`."""

    def __init__(self, folder: Path, own: Path) -> None:
        self._folder, self._own = folder, own
        self._splits = {split: _Growing(own / f"{split}.parquet") for split in SPLITS}

    def file(self, split: str) -> Path:
        """Return the file of a split: it exists after the first rows, and is readable after `close`."""
        return self._splits[split].path

    def add(self, split: str, table: pl.DataFrame) -> None:
        """Append rows to a split."""
        self._splits[split].add(table)

    def close(self) -> None:
        """Finish the files: no more rows can be added."""
        for split in self._splits.values():
            split.close()

    def commit(self, about: JsonObject) -> None:
        """Move the files into place, with a manifest that contains `about` and describes them."""
        files = {split_key(split): growing.describe() for split, growing in self._splits.items()}
        partial = self._own / MANIFEST
        partial.write_text(json.dumps({**about, "files": files}, indent=2, default=str) + "\n")
        (self._folder / MANIFEST).unlink(missing_ok=True)
        for split in self._splits:
            place = self._folder / split_key(split)
            place.parent.mkdir(exist_ok=True)
            self.file(split).replace(place)
        partial.replace(self._folder / MANIFEST)


class FileEntry(TypedDict):
    """What the manifest says about a file."""

    rows: int
    bytes: int
    sha256: str


class _Growing:
    """A Parquet file that is written row group by row group."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = 0
        self._writer: pq.ParquetWriter | None = None
        self._waiting = pl.DataFrame()

    def add(self, table: pl.DataFrame) -> None:
        self._rows += table.height
        waiting = pl.concat([self._waiting, table]) if self._waiting.height else table
        whole = waiting.height // GROUP_ROWS * GROUP_ROWS
        for begin in range(0, whole, GROUP_ROWS):
            self._write(waiting.slice(begin, GROUP_ROWS))
        # Copied through bytes: a slice would keep all rows of the table in memory.
        rest = waiting.slice(whole).write_ipc(None, compat_level=pl.CompatLevel.oldest())
        self._waiting = pl.read_ipc(rest.getvalue())

    def _write(self, group: pl.DataFrame) -> None:
        content = group.rechunk().to_arrow()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, content.schema, compression="zstd", compression_level=3)
        self._writer.write_table(content, row_group_size=GROUP_ROWS)

    def close(self) -> None:
        if self._waiting.height:
            self._write(self._waiting)
        self._waiting = pl.DataFrame()
        if self._writer:
            self._writer.close()

    def describe(self) -> FileEntry:
        with self.path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        return {"rows": self._rows, "bytes": self.path.stat().st_size, "sha256": digest}


@contextlib.contextmanager
def aside(folder: Path) -> Iterator[Aside]:
    """Yield the splits to write to; what is not committed is removed at the end."""
    new = not folder.exists()
    own = folder / ".aside" / uuid.uuid4().hex
    _make(own)
    try:
        yield Aside(folder, own)
    finally:
        shutil.rmtree(own)
        with contextlib.suppress(OSError):  # another run's folder is in it
            own.parent.rmdir()
            if new:  # fails after a commit: the partition is in it
                folder.rmdir()


def _make(own: Path) -> None:
    """Create a folder and its parents, even while another run removes these."""
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError):
            own.mkdir(parents=True)
            return
    own.mkdir(parents=True)
