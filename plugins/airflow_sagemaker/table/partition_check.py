"""The checks of a partition, including the comparison with the previous one."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from pathlib import Path

from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.table.channels import Calls, ChannelFiles, files_in_folder, files_on_s3, partitions_before
from airflow_sagemaker.table.checks import check
from airflow_sagemaker.table.comparison import Limits, compare
from airflow_sagemaker.table.fields import TableFields
from airflow_sagemaker.table.findings import UNLIMITED, Finding, shortened
from airflow_sagemaker.table.reading import Split, read_splits

TRIED = 3
"""Earlier partitions that are tried until one can be read."""


def check_folder(
    folder: str, wanted: TableFields, limits: Limits, *, earlier: str | None = None, aws: Calls | None = None
) -> list[Finding]:
    """Check the channels in a local folder; `earlier` is the folder or S3 URI of an earlier partition.

    Raises TableError if a channel has no file, or one that is not a complete Parquet file.
    """
    last = (earlier, _read_train(aws, earlier, wanted)) if earlier else None
    return _check(files_in_folder(Path(folder)), folder, wanted, limits, last)


def check_partition(
    aws: Calls,
    input_path: str,
    wanted: TableFields,
    limits: Limits,
    *,
    compare_with_last: bool = True,
    earlier: str | None = None,
) -> list[Finding]:
    """Check the channels below an S3 URI; the default of `earlier` is the previous partition next to it.

    Raises TableError like `check_folder`. Without `compare_with_last`, nothing is compared.
    """
    last = None
    if earlier:
        last = earlier, _read_train(aws, earlier, wanted)
    elif compare_with_last:
        last = _newest_before(aws, input_path, wanted)
    return _check(files_on_s3(aws, input_path), input_path, wanted, limits, last)


def _check(
    files: ChannelFiles, where: str, wanted: TableFields, limits: Limits, last: tuple[str, Split] | None
) -> list[Finding]:
    _require_all(files, where)
    splits = read_splits(files, wanted, with_sample=last is not None)
    path, before = last or ("", None)
    findings = check(splits, wanted)
    findings.append(
        Finding("earlier partitions compared with", "train", int(before is not None), UNLIMITED, example=path)
    )
    return shortened([*findings, *(compare(splits["train"], before, limits) if before else [])])


def _newest_before(aws: Calls, input_path: str, wanted: TableFields) -> tuple[str, Split] | None:
    """Return the newest earlier partition that can be read, and its train; others have failed their own check."""
    for path in islice(partitions_before(aws, input_path), TRIED):
        with suppress(TableError):
            return path, _read_train(aws, path, wanted)
    return None


def _read_train(aws: Calls | None, place: str, wanted: TableFields) -> Split:
    on_s3 = place.startswith("s3://")
    if on_s3 and aws is None:
        raise TableError(f"{place} is on S3, which this check does not read")
    files = files_on_s3(aws, place) if on_s3 and aws is not None else files_in_folder(Path(place))
    if not files["train"]:
        raise TableError(f"{place}/train/train.parquet: does not exist; expected the folder of an earlier partition")
    only_train: ChannelFiles = {"train": files["train"], "val": [], "test": []}
    return read_splits(only_train, wanted, with_ids=False, with_sample=True)["train"]


def _require_all(files: ChannelFiles, where: str) -> None:
    missing = [f"{channel}/{channel}.parquet" for channel, found in files.items() if not found]
    if missing:
        raise TableError(
            f"{where} has no {', '.join(missing)}; a partition's files must exist before it is trained: "
            "write them, for example with `airflow-sagemaker split --partition`"
        )
