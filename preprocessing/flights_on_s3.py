"""The two tasks of the example on S3: extract raw dates, and preprocess a partition.

Layout: `raw/flights/date=2013-07-04/flights.parquet` (weather and planes alike), and for a partition of a pipeline
`<pipeline>/input/<partition>/train/train.parquet` (val and test alike) with `manifest.json`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from preprocessing import program, raw, source, storage
from preprocessing.window import Window


def extract(client: Any, bucket: str, window: Window) -> dict[str, Any]:
    """Upload the raw dates of the partition's window from the source; return how many files were written."""
    folder = storage.Folder(client, bucket, "raw")
    counts = storage.upload_raw(folder, source.extract({table: window.dates(table) for table in raw.SCHEMAS}))
    return {"raw_path": folder.uri, "first": str(window.history_first), "last": str(window.partition), **counts}


def preprocess(client: Any, bucket: str, pipeline: str, window: Window) -> dict[str, Any]:
    """Build and commit the partition's splits; return input_path and what the program says about them."""
    partition = str(window.partition)
    target = storage.Folder(client, bucket, f"{pipeline}/input/{partition}")
    with tempfile.TemporaryDirectory(prefix=f"preprocess-{partition}-") as name:
        folder = Path(name)
        storage.download_raw(storage.Folder(client, bucket, "raw"), window, folder / "raw")
        about = program.preprocess(folder / "raw", folder / "output", window)
        storage.publish(folder / "output", target)
    return {"input_path": target.uri, **about}
