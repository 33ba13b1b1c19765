"""Write a partition's table whole or not at all.

Everything is written aside first (`.aside` files beside their places). The commit removes the old manifest, moves the
files to their places and writes the new manifest last: a partition without `manifest.json` is not whole, and one with
it holds exactly the files whose sha256 it names. A rerun overwrites.
"""

from __future__ import annotations

import hashlib
import json
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
    aside = {split: folder / f"{split_key(split)}.aside" for split in tables}
    try:
        for split, table in tables.items():
            aside[split].parent.mkdir(parents=True, exist_ok=True)
            table.write_parquet(aside[split], row_group_size=131072)
        files = {split_key(split): _describe(file, tables[split]) for split, file in aside.items()}
        manifest = {**about, "files": files}
        (folder / MANIFEST).unlink(missing_ok=True)
        for split, file in aside.items():
            file.replace(folder / split_key(split))
    finally:
        for file in aside.values():
            file.unlink(missing_ok=True)
    partial = folder / f"{MANIFEST}.aside"
    partial.write_text(json.dumps(manifest, indent=2, default=str) + "\n")
    partial.replace(folder / MANIFEST)
    return manifest


def _describe(file: Path, table: pl.DataFrame) -> dict[str, Any]:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {"rows": table.height, "bytes": file.stat().st_size, "sha256": digest}
