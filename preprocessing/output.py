"""Write a partition's table whole or not at all.

Everything is written aside first, into a folder of the run's own below `.aside`. The commit removes the old manifest,
moves the files to their places and writes the new manifest last: a partition without `manifest.json` is not whole, and
one with it holds exactly the files whose sha256 it names. A rerun overwrites.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

MANIFEST = "manifest.json"
SPLITS = ("train", "val", "test")


def split_key(split: str) -> str:
    """Return where a split lies below the partition's folder: `train/train.parquet`."""
    return f"{split}/{split}.parquet"


def write(folder: Path, tables: Mapping[str, pl.DataFrame], about: Mapping[str, Any]) -> dict[str, Any]:
    """Write the splits and the manifest into `folder`, commit them, and return the manifest."""
    own = folder / ".aside" / uuid.uuid4().hex
    aside = {split: own / f"{split}.parquet" for split in tables}
    own.mkdir(parents=True)
    try:
        for split, table in tables.items():
            table.write_parquet(aside[split], row_group_size=131072)
        files = {split_key(split): _describe(file, tables[split]) for split, file in aside.items()}
        manifest = {**about, "files": files}
        (folder / MANIFEST).unlink(missing_ok=True)
        for split, file in aside.items():
            place = folder / split_key(split)
            place.parent.mkdir(exist_ok=True)
            file.replace(place)
        partial = own / MANIFEST
        partial.write_text(json.dumps(manifest, indent=2, default=str) + "\n")
        partial.replace(folder / MANIFEST)
    finally:
        shutil.rmtree(own)
        with contextlib.suppress(OSError):  # another run's folder lies in it
            own.parent.rmdir()
    return manifest


def _describe(file: Path, table: pl.DataFrame) -> dict[str, Any]:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {"rows": table.height, "bytes": file.stat().st_size, "sha256": digest}
