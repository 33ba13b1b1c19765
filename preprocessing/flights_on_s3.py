"""The two tasks of the example on S3: extract raw dates, and preprocess a partition. Imported inside tasks only.

Layout: `raw/flights/date=2013-07-04/flights.parquet` (weather and planes alike), and for a partition of a pipeline
`<pipeline>/input/<partition>/train/train.parquet` (val and test alike) with `manifest.json`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from preprocessing import program, raw, source, storage
from preprocessing.window import Window, parse_partition


def extract(client: Any, bucket: str, partition: str, window_days: int) -> dict[str, Any]:
    """Upload the raw dates of the partition's window from the source; return how many files were written."""
    window = _window(partition, window_days)
    folder = storage.Folder(client, bucket, "raw")
    counts = storage.upload_raw(folder, source.extract({table: window.dates(table) for table in raw.SCHEMAS}))
    return {"raw_path": folder.uri, "first": str(window.history_first), "last": partition, **counts}


def preprocess(client: Any, bucket: str, pipeline: str, partition: str, window_days: int) -> dict[str, Any]:
    """Build and commit the partition's splits; return input_path and what the program says about them."""
    window = _window(partition, window_days)
    target = storage.Folder(client, bucket, f"{pipeline}/input/{partition}")
    with tempfile.TemporaryDirectory(prefix=f"preprocess-{partition}-") as name:
        folder = Path(name)
        storage.download_raw(storage.Folder(client, bucket, "raw"), window, folder / "raw")
        about = program.preprocess(folder / "raw", folder / "output", window)
        storage.publish(folder / "output", target)
    return {"input_path": target.uri, **about}


def _window(partition: str, window_days: int) -> Window:
    return Window(parse_partition(partition), window_days, start=source.FIRST)
