"""The two tasks on S3: extract raw dates, and preprocess a partition.

Layout: `raw/flights/date=2013-07-04/flights.parquet` for each raw table, and for a partition of a pipeline
`<pipeline>/input/<partition>/train/train.parquet` (val and test alike) with `manifest.json`.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from datetime import timedelta
from pathlib import Path

from preprocessing import program, storage
from preprocessing.errors import PreprocessingError
from preprocessing.json_types import JsonObject
from preprocessing.quality import checks
from preprocessing.quality.drift import Profile
from preprocessing.spec import TableSpec
from preprocessing.window import Window

RAW_MANIFEST = "raw.manifest"
PREVIOUS = "previous/previous.json"


def extract(
    spec: TableSpec, client: storage.S3Client, bucket: str, window: Window, list_for: str | None = None
) -> JsonObject:
    """Upload the raw dates of the partition's window from the source; return how many files were written.

    Dates that the source lacks may be in the bucket already. Raises MissingDataError for those that are not.

    With `list_for`, a pipeline's name, the files are also listed in a ManifestFile next to that pipeline's splits, so
    that a Processing job downloads only these dates; the profiles of earlier partitions are stored next to it.
    """
    if spec.source is None:
        raise PreprocessingError("this table has no source to extract from; provide its raw dates another way")
    folder = storage.Folder(client, bucket, "raw")
    dates = spec.raw_dates(window)
    counts = storage.upload_raw(spec, folder, spec.source(dates))
    storage.require_raw(spec, folder, window)
    if list_for is not None:
        target = splits_folder(client, bucket, list_for, window)
        storage.write_raw_manifest(spec, target, RAW_MANIFEST, folder, window)
        # SageMaker uploads the job's outputs in any order: with the old manifest, the partition would look complete.
        storage.remove_manifest(target)
        target.put(PREVIOUS, json.dumps(previous_profiles(target, window)).encode())
    first = min(days[0] for days in dates.values())
    return {"raw_path": folder.uri, "first": str(first), "last": str(window.partition), **counts}


def preprocess(
    spec: TableSpec, client: storage.S3Client, bucket: str, pipeline: str, window: Window, split_by: str = "time"
) -> JsonObject:
    """Build and commit the partition's splits; return the result of `program.preprocess`, and `input_path`."""
    target = splits_folder(client, bucket, pipeline, window)
    with tempfile.TemporaryDirectory(prefix=f"preprocess-{window.partition}-") as name:
        folder = Path(name)
        storage.download_raw(spec, storage.Folder(client, bucket, "raw"), window, folder / "raw")
        previous = previous_profiles(target, window)
        about = program.preprocess(
            spec, folder / "raw", folder / "output", window, previous=previous, split_by=split_by
        )
        storage.publish(folder / "output", target)
    return {"input_path": target.uri, **about}


def previous_profiles(target: storage.Folder, window: Window) -> list[dict[str, Profile]]:
    """Return the profiles of earlier partitions that are complete, the newest first."""
    oldest = window.partition - timedelta(days=checks.PREVIOUS_DAYS)
    manifests = storage.manifests_before(target, since=str(oldest))
    found = (manifest["profile"] for manifest in manifests if "profile" in manifest)
    return list(itertools.islice(found, checks.PREVIOUS))


def splits_folder(client: storage.S3Client, bucket: str, pipeline: str, window: Window) -> storage.Folder:
    """Return the folder of the partition's splits, which is the training's input path."""
    return storage.Folder(client, bucket, f"{pipeline}/input/{window.partition}")
