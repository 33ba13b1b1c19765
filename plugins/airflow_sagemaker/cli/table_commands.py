"""`init` and `split`: from a table to a configuration, a DAG and the three channels of a partition."""

from __future__ import annotations

import tempfile
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from airflow_sagemaker.cli.examples import program_name
from airflow_sagemaker.cli.offline import read_configuration
from airflow_sagemaker.contract import CHANNELS
from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.table.comparison import Limits
from airflow_sagemaker.table.decisions import Decisions, decide
from airflow_sagemaker.table.fields import fields_of
from airflow_sagemaker.table.findings import as_data, require_sound
from airflow_sagemaker.table.init_files import pipeline_name, printable, write_files
from airflow_sagemaker.table.partition_check import check_folder, check_partition
from airflow_sagemaker.table.source import TableSource, open_table
from airflow_sagemaker.table.splitting import Shares, SplitResult, split_table

if TYPE_CHECKING:
    import argparse

    from airflow_sagemaker.cli.output import Output
    from airflow_sagemaker.config.base import BasePipelineConfig
    from airflow_sagemaker.types import BotoClient

SHOWN = 12
"""Maximum columns in one line of output; the files contain all of them."""


def init(arguments: argparse.Namespace, output: Output) -> int:
    """Inspect a table, write its configuration and DAG, and print each decision with its reason."""
    table = Path(arguments.table)
    schedule = _checked_schedule(arguments.schedule)
    decisions = decide(_opened(table, output), arguments.label, arguments.id)
    name = _checked_name(arguments.name) if arguments.name else pipeline_name(table)
    files = write_files(decisions, name, Path(arguments.dags_folder), schedule, table)
    data = {
        "ok": True, "pipeline_name": name, "files": [str(file) for file in files], "rows": decisions.rows,
        "label": decisions.label, "classes": {str(key): rows for key, rows in decisions.classes.items()},
        "id": decisions.id_name, "numbers": [column.name for column in decisions.numbers],
        "categories": [column.name for column in decisions.categories],
        "left_out": {one.column: one.reason for one in decisions.left_out}, "warnings": decisions.warnings,
    }  # fmt: skip
    for warning in decisions.warnings:
        output.note(f"warning: {printable(warning)}", "warning")
    output.result(data, "\n".join([*_decided(decisions, table), *_next_steps(decisions, files, table)]))
    return 0


def _opened(table: str | Path, output: Output) -> TableSource:
    source = open_table(table)
    if source.note:
        output.note(source.note)
    return source


def _checked_schedule(text: str) -> str | None:
    """Return the schedule for the DAG file; "none" means without. Raises TableError for one that Airflow rejects."""
    if text.lower() in ("none", ""):
        return None
    if text == "@daily":  # the default needs no Airflow, which takes seconds to import
        return text
    from airflow_sagemaker.schedules import partition_timetable

    try:
        partition_timetable(text)
    except ValueError as error:
        raise TableError(f"--schedule {error}") from None
    return text


def _checked_name(text: str) -> str:
    if text != pipeline_name(Path(text)):
        raise TableError(f"--name {text!r} must have lower-case letters, digits and hyphens, and start with a letter")
    return text


def _decided(decisions: Decisions, table: Path) -> list[str]:
    total = sum(decisions.classes.values())
    classes = [f"{name!r} {rows / total:.1%}" for name, rows in decisions.classes.items()]
    names = list(decisions.classes)
    positive = f"; positive: {names[1]!r}, the later one in sorted order" if len(names) == 2 else ""
    of_sample = "" if decisions.sampled == decisions.rows else f", decided from a sample of {decisions.sampled:,}"
    identity = "no column identifies a row: `split` numbers the rows" if decisions.numbers_rows else "one per row"
    lines = [
        f"{table}: {decisions.rows:,} rows{of_sample}, {decisions.columns:,} columns",
        f"label       {decisions.label}: {len(names)} classes, {_listed(classes)}{positive}",
        f"id          {decisions.id_name} ({identity})",
        f"numbers     {len(decisions.numbers):,}: {_listed([column.name for column in decisions.numbers])}",
        f"categories  {len(decisions.categories):,}: {_listed([column.name for column in decisions.categories])}",
    ]
    if decisions.left_out:
        lines.append(f"excluded    {len(decisions.left_out):,}:")
        lines += [f"  {printable(one.column)} {printable(one.reason)}" for one in decisions.left_out[:SHOWN]]
        more = len(decisions.left_out) - SHOWN
        lines += [f"  and {more:,} more, listed in the YAML file"] if more > 0 else []
    return lines


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(map(printable, names[:SHOWN])) + (f" and {more:,} more" if more > 0 else "") or "none"


def _next_steps(decisions: Decisions, files: list[Path], table: Path) -> list[str]:
    how = f" --by-time {quote(decisions.times[0])}" if decisions.times else ""
    how = f" --by-group {quote(decisions.groups[0])}" if decisions.groups else how
    return [
        f"\nwrote {files[0]} and {files[1]}",
        "next:",
        f"  {program_name()} split {quote(str(table))} {quote(str(files[0]))} --bucket BUCKET{how}",
        f"  {program_name()} run {quote(str(files[0]))} --bucket BUCKET --role-arn ROLE",
    ]


def split(arguments: argparse.Namespace, output: Output) -> int:
    """Split a table into the three channels of a partition, and upload them or write them to a folder."""
    config = read_configuration(arguments)
    shares = Shares(arguments.val, arguments.test)
    source = _opened(arguments.table, output)
    _require_label(source.schema.names, config)
    if arguments.to:
        target = str(Path(arguments.to))
        _refuse_existing_folder(Path(arguments.to), arguments.overwrite)
        result = _split_into(Path(arguments.to), source, config, arguments, shares)
    else:
        config.require(["input_path", "region"])
        target = str(getattr(config, "input_path", None))
        client = _s3_client(config)
        _refuse_existing_objects(client, target, arguments)
        with tempfile.TemporaryDirectory(prefix="airflow-sagemaker-split-") as folder:
            result = _split_into(Path(folder), source, config, arguments, shares)
            _upload(client, result, target)
    hashed = arguments.by_group or fields_of(config).id_name
    how = f"by time ({arguments.by_time})" if arguments.by_time else f"by the hash of {hashed}"
    lines = [f"{split:<6}{result.rows[split]:>10,} rows  {target}/{split}/{split}.parquet" for split in CHANNELS]
    lines += [f"{result.unlabelled:,} rows without a label are in no split"] if result.unlabelled else []
    output.result(
        {"ok": True, "rows": result.rows, "unlabelled": result.unlabelled, "input_path": target, "split": how},
        "\n".join([f"split {how}, partition {config.partition}", *lines]),
    )
    return 0


def _require_label(names: list[str], config: BasePipelineConfig) -> None:
    wanted = fields_of(config)
    missing = [name for name in wanted.full_field_list if name not in names and name != wanted.id_name]
    if missing:
        raise TableError(f"the table lacks columns of full_field_list: {', '.join(missing[:5])}; is it the right file?")


def _split_into(
    folder: Path, source: TableSource, config: BasePipelineConfig, arguments: argparse.Namespace, shares: Shares
) -> SplitResult:
    wanted = fields_of(config)
    how = {"by_time": arguments.by_time, "by_group": arguments.by_group}
    return split_table(source, folder, id_name=wanted.id_name, label=wanted.label_name, shares=shares, **how)


def _refuse_existing_folder(folder: Path, overwrite: bool) -> None:
    there = [folder / split / f"{split}.parquet" for split in CHANNELS]
    found = next((path for path in there if path.exists()), None)
    if found and not overwrite:
        raise TableError(f"{found} exists; use another --to, or --overwrite")


def _s3_client(config: BasePipelineConfig) -> BotoClient:
    import boto3

    client: BotoClient = boto3.Session(region_name=config.region).client("s3")
    return client


def _refuse_existing_objects(client: BotoClient, target: str, arguments: argparse.Namespace) -> None:
    from botocore.exceptions import ClientError

    bucket, _, prefix = target.removeprefix("s3://").partition("/")
    try:
        found = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/", MaxKeys=1)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
        if not arguments.create_bucket:
            raise TableError(f"bucket {bucket} does not exist; use another --bucket, or add --create-bucket") from None
        region = client.meta.region_name
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        client.create_bucket(Bucket=bucket, **place)
        return
    if found.get("KeyCount") and not arguments.overwrite:
        raise TableError(f"{target} is not empty; use another --partition, or --overwrite")


def _upload(client: BotoClient, result: SplitResult, target: str) -> None:
    bucket, _, prefix = target.removeprefix("s3://").partition("/")
    for split, file in result.files.items():
        client.upload_file(str(file), bucket, f"{prefix}/{split}/{split}.parquet")


def validate_data(arguments: argparse.Namespace, output: Output) -> int:
    """Check the configuration, and the data of its partition, against an earlier one if there is one."""
    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.cli.offline import validate
    from airflow_sagemaker.cli.online import EnvironmentTarget

    config = read_configuration(arguments)
    limits, earlier = Limits.of(_given_limits(arguments.limits)), arguments.against
    aws = None
    if not arguments.data or str(earlier).startswith("s3://"):
        config.require(["region"])
        aws = Aws(EnvironmentTarget(aws_conn_id=None, region_name=config.region), output)
    if arguments.data or aws is None:
        where = str(arguments.data)
        findings = check_folder(where, fields_of(config), limits, earlier=earlier, aws=aws)
    else:
        config.require(["input_path"])
        where = str(getattr(config, "input_path", None))
        findings = check_partition(aws, where, fields_of(config), limits, earlier=earlier)
    for finding in findings:
        if finding.ok:
            output.note(finding.line)
    require_sound(findings, where)
    return validate(arguments, output, as_data(findings))


def _given_limits(given: list[str]) -> dict[str, float]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise TableError(f"--limit {text}: expected NAME=NUMBER, such as row_ratio=5")
    return found
