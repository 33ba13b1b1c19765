"""The checks of one partition of a configuration, against the partition before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.table.channels import Calls, files_in_folder, files_on_s3, partitions_before
from airflow_sagemaker.table.checks import Finding, Limits, Splits, check, read_splits
from airflow_sagemaker.table.fields import TableFields

TRIED = 3
"""Earlier partitions that are looked at until one can be read."""


def check_folder(folder: Path, wanted: TableFields) -> list[Finding]:
    """Check the channels in a folder on this machine, which has no earlier partition."""
    files = files_in_folder(folder)
    _require_all(files, str(folder))
    return check(read_splits(files, wanted), wanted)


def check_partition(
    aws: Calls, input_path: str, wanted: TableFields, limits: Limits, *, compare: bool = True
) -> list[Finding]:
    """Check the channels below `input_path`; `compare`: also against the partition beside it that sorts before it.

    Raises TableError when a channel has no file, or one that is not a whole Parquet file.
    """
    files = files_on_s3(aws, input_path)
    _require_all(files, input_path)
    splits = read_splits(files, wanted)
    previous = _last_partition(aws, input_path, wanted) if compare else None
    return check(splits, wanted, previous, limits)


def _require_all(files: dict[str, list[Any]], where: str) -> None:
    missing = [f"{where}/{channel}/{channel}.parquet" for channel, found in files.items() if not found]
    if missing:
        raise TableError(f"{', '.join(missing)}: does not exist; write it, for example with `airflow-sagemaker split`")


def _last_partition(aws: Calls, input_path: str, wanted: TableFields) -> Splits | None:
    for number, path in enumerate(partitions_before(aws, input_path)):
        if number == TRIED:
            return None
        files = files_on_s3(aws, path)
        if not files["train"]:
            continue
        try:
            return read_splits({"train": files["train"], "val": [], "test": []}, wanted, with_ids=False)
        except TableError:
            continue  # its own check has said so
    return None
