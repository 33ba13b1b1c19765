"""The command line.

    python -m preprocessing local --partition 2013-07-04 --raw DIR --output DIR    local folders, as in a Processing job
    python -m preprocessing extract --partition 2013-07-04 --bucket B              raw dates to S3
    python -m preprocessing s3 --partition 2013-07-04 --bucket B --pipeline P      from raw dates to splits, both on S3

The default table is the example's flights; `--table module:NAME` selects another TableSpec (see `preprocessing.spec`).

Credentials, region and endpoint of S3 come from the AWS_* environment variables. The last line of standard output is
the result as one JSON object; log lines go to standard error. Exit status 3: the data or the partition cannot be used
(one line gives the reason, and a retry would fail with the same; if data checks failed, the result contains their
findings). Exit status 4: raw dates of the window are missing. Any other status except 0: an error that a retry may fix.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from pathlib import Path

from preprocessing import child, engines, on_s3, program, splits
from preprocessing.errors import ChecksError, MissingDataError, PreprocessingError
from preprocessing.json_types import JsonObject
from preprocessing.quality.drift import Profile
from preprocessing.spec import TableSpec
from preprocessing.storage import S3Client
from preprocessing.window import Window, parse_partition

FLIGHTS = "preprocessing.flights.table:FLIGHTS"


def main() -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args()
    child.die_with_parent()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s", force=True)
    try:
        window = options.table.window(
            parse_partition(options.partition), options.days, options.val_days, options.test_days
        )
        result: JsonObject = options.run(options, window)
    except MissingDataError as error:
        sys.stderr.write(f"{error}\n")
        return child.MISSING
    except ChecksError as error:
        sys.stdout.write(json.dumps({"checks": error.checks}) + "\n")
        sys.stderr.write(f"{error}\n")
        return child.UNUSABLE
    except PreprocessingError as error:
        sys.stderr.write(f"{error}\n")
        return child.UNUSABLE
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m preprocessing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    local = commands.add_parser("local", help="build the splits in a folder from raw tables in a folder")
    # The defaults are the folders of a SageMaker Processing job.
    local.add_argument("--raw", type=Path, default=Path("/opt/ml/processing/input/raw"), help="folder of raw tables")
    local.add_argument("--output", type=Path, default=Path("/opt/ml/processing/output"), help="folder for the splits")
    text = "profiles of earlier partitions, a JSON file that extract writes to previous/"
    local.add_argument("--previous", type=Path, metavar="FILE", help=text)
    local.add_argument("--engine", choices=engines.ENGINES, default=engines.POLARS, help="engine that builds the table")
    local.set_defaults(
        run=lambda o, window: program.preprocess(
            o.table, o.raw, o.output, window, o.engine, _profiles(o.previous), o.split_by
        )
    )
    extract = commands.add_parser("extract", help="write the raw dates that the window reads to S3")
    extract.set_defaults(run=lambda o, window: on_s3.extract(o.table, _s3(), o.bucket, window, o.list_for))
    extract.add_argument("--list-for", metavar="PIPELINE", help="also list the files for this pipeline's own step")
    s3 = commands.add_parser("s3", help="build the partition's splits on S3 from raw dates on S3")
    s3.add_argument("--pipeline", required=True, help="name of the pipeline: the first folder of the splits")
    s3.set_defaults(run=lambda o, window: on_s3.preprocess(o.table, _s3(), o.bucket, o.pipeline, window, o.split_by))
    for command in (local, extract, s3):
        command.add_argument("--partition", required=True, help="date, YYYY-MM-DD")
        command.add_argument("--table", type=_table, default=FLIGHTS, metavar="MODULE:NAME", help="table to build")
        command.add_argument("--days", type=int, default=Window.days, help="days of rows up to the partition")
        command.add_argument("--val-days", type=int, default=Window.val_days, help="days of validation")
        command.add_argument("--test-days", type=int, default=Window.test_days, help="days of test")
    for command in (local, s3):
        text = "how rows are split; with hash, the shares of rows are the shares of days"
        command.add_argument("--split-by", choices=splits.WAYS, default="time", help=text)
    for command in (extract, s3):
        command.add_argument("--bucket", required=True, help="bucket of raw dates and splits")
    return parser


def _table(reference: str) -> TableSpec:
    module, _, name = reference.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{reference!r} cannot be imported ({error}); expected module:NAME") from None
    if not isinstance(found, TableSpec):
        raise argparse.ArgumentTypeError(f"{reference!r} is a {type(found).__name__}; expected a TableSpec")
    return found


def _profiles(file: Path | None) -> list[dict[str, Profile]]:
    found: list[dict[str, Profile]] = json.loads(file.read_bytes()) if file else []
    return found


def _s3() -> S3Client:
    import boto3
    from botocore.config import Config

    # Other servers than AWS rarely support a host name per bucket.
    style = {"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL_S3") else None
    retries = {"mode": "standard", "max_attempts": 5}
    client: S3Client = boto3.client("s3", config=Config(retries=retries, max_pool_connections=16, s3=style))
    return client


if __name__ == "__main__":
    sys.exit(main())
