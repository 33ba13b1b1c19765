"""The options of the commands for tables: `init`, `split` and `predict`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
    """What `ArgumentParser.add_subparsers` returns."""


def add_init(commands: Commands) -> None:
    """`init`: from a table to a configuration and a DAG."""
    text = "analyze a table and write a configuration and a DAG for it"
    command = commands.add_parser("init", help=text, description=text)
    command.add_argument("table", metavar="TABLE", help="a Parquet file, a folder of them, or a CSV file")
    command.add_argument("--label", required=True, metavar="COLUMN", help="column to predict")
    command.add_argument(
        "--id",
        metavar="COLUMN",
        help="column that identifies a row, or row_number to number the rows (default: detected, else row_number)",
    )
    command.add_argument(
        "--schedule", default="@daily", metavar="CRON", help="preset, cron expression or none (default: @daily)"
    )
    command.add_argument("--name", help="name of pipeline, DAG and files (default: the table's)")
    command.add_argument("--dags-folder", default="dags", metavar="FOLDER", help="where to write (default: dags)")
    _add_json(command)


def add_split(commands: Commands) -> argparse.ArgumentParser:
    """`split`: from a table to the three channels of a partition."""
    text = "split a table into train, val and test, and upload them for a partition"
    command = commands.add_parser("split", help=text, description=text)
    command.add_argument("table", metavar="TABLE", help="a Parquet file, a folder of them, or a CSV file")
    command.add_argument("config", metavar="CONFIG.yaml", help="the training configuration, as init writes it")
    how = command.add_mutually_exclusive_group()
    how.add_argument("--by-time", metavar="COLUMN", help="the newest rows become test (default: by hash of the id)")
    how.add_argument("--by-group", metavar="COLUMN", help="rows that share a value are in the same split")
    command.add_argument("--val", type=float, default=0.2, metavar="SHARE", help="share of rows for val (default: 0.2)")
    command.add_argument(
        "--test", type=float, default=0.2, metavar="SHARE", help="share of rows for test (default: 0.2)"
    )
    command.add_argument("--to", metavar="FOLDER", help="write to this folder instead of uploading")
    command.add_argument("--create-bucket", action="store_true", help="create the bucket if it does not exist")
    command.add_argument("--overwrite", action="store_true", help="replace existing files")
    return command


def add_predict(commands: Commands) -> None:
    """`predict`: score a table."""
    text = "score a table with a trained model on this machine"
    command = commands.add_parser("predict", help=text, description=text)
    command.add_argument("model", metavar="MODEL", help="model.tar.gz or its unpacked folder, here or on S3")
    command.add_argument("rows", metavar="ROWS", help="a Parquet or CSV file, or a folder of parts, here or on S3")
    command.add_argument(
        "answers", nargs="?", metavar="ANSWERS", help="Parquet file to write (default: CSV on standard output)"
    )
    command.set_defaults(json=False)


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object on standard output")
