"""The tasks around the training, as plain functions: extract, preprocess, report."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_sagemaker.aws.connections import connection_defaults
from airflow_sagemaker.contract import channel_key
from airflow_sagemaker.dag import summarise
from airflow_sagemaker.types import JsonObject
from flight_delay.form import MISSING_DATA, SPLIT_BY
from preprocessing import child
from preprocessing.errors import ChecksError, MissingDataError, PreprocessingError
from preprocessing.window import MIN_TRAIN_DAYS, Window, parse_partition

log = logging.getLogger("airflow.task")


def extract(
    aws_conn_id: str, partition: str, window_days: int, list_for: str | None = None, missing_data: str = "fail"
) -> JsonObject | None:
    """Write the raw dates that the partition's window reads to the connection's bucket.

    `list_for` is the name of the pipeline whose Processing step will read them. `missing_data` determines what happens
    if a date is neither in the bucket nor in the source: "fail", "skip", or "wait", which returns None.
    """
    more = ["--list-for", list_for] if list_for else []
    try:
        return _run(aws_conn_id, "extract", partition, window_days, *more, missing_data=missing_data)
    except MissingDataError as error:
        if missing_data == "wait":
            log.info("waiting: %s", error)
            return None
        raise _end(missing_data, error) from error


def preprocess(
    aws_conn_id: str,
    pipeline: str,
    partition: str,
    window_days: int,
    missing_data: str = "fail",
    split_by: str = "time",
    keep_checks: Callable[[list[JsonObject]], None] | None = None,
) -> JsonObject:
    """Build train, val and test of the partition and commit them; returns input_path, rows and field lists.

    `keep_checks` is called with the findings of the data checks, whether they pass or fail. With `missing_data="skip"`,
    the task is skipped if raw dates of the window are missing. Otherwise it fails, even with "wait", because `extract`
    has already waited.
    """
    if split_by not in SPLIT_BY:
        raise AirflowFailException(f"split_by is {split_by!r}; expected one of {', '.join(SPLIT_BY)}")
    keep = keep_checks or (lambda findings: None)
    more = ["--pipeline", pipeline, "--split-by", split_by]
    try:
        found = _run(aws_conn_id, "s3", partition, window_days, *more, missing_data=missing_data)
    except MissingDataError as error:
        raise _end(missing_data, error) from error
    except ChecksError as error:
        keep(error.checks)
        raise AirflowFailException(str(error)) from error
    keep(found.pop("checks"))
    return found


def rows_of_a_day(aws_conn_id: str, pipeline: str, day: str) -> str:
    """Build the rows of one day with the training's features; returns the S3 URI of the file.

    The rows are the test split of the shortest window that ends on that day.
    """
    window = Window(parse_partition(day), days=Window.val_days + MIN_TRAIN_DAYS + 1, test_days=1)
    tests = ["--test-days", str(window.test_days)]
    _run(aws_conn_id, "extract", day, window.days, *tests, missing_data="fail")
    try:
        found = _run(aws_conn_id, "s3", day, window.days, *tests, "--pipeline", pipeline, missing_data="fail")
    except (MissingDataError, ChecksError) as error:
        raise AirflowFailException(str(error)) from error
    return f"{found['input_path']}/{channel_key('test')}"


def _end(missing_data: str, error: MissingDataError) -> Exception:
    return AirflowSkipException(str(error)) if missing_data == "skip" else AirflowFailException(str(error))


def findings(aws_conn_id: str, input_path: str) -> list[JsonObject]:
    """Return the findings of the data checks from the manifest next to the splits."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    bucket, _, folder = input_path.removeprefix("s3://").partition("/")
    manifest = json.loads(S3Hook(aws_conn_id).read_key(f"{folder.rstrip('/')}/manifest.json", bucket))
    found: list[JsonObject] = manifest["checks"]
    return found


def report(partition: str, outcome: JsonObject, prepared: JsonObject | None = None) -> JsonObject:
    """Log the model's metrics next to those of a constant predictor, and return them."""
    summary = summarise(partition, outcome, log)
    return {**summary, "rows": prepared["rows"]} if prepared else summary


def _run(aws_conn_id: str, command: str, partition: str, window_days: int, *more: str, missing_data: str) -> JsonObject:
    """Run the program in a child process (see preprocessing.child); unusable data fail the task without retries.

    Raises MissingDataError for missing raw dates and ChecksError for failed data checks.
    """
    if missing_data not in MISSING_DATA:
        raise AirflowFailException(f"missing_data is {missing_data!r}; expected one of {', '.join(MISSING_DATA)}")
    bucket = connection_defaults(aws_conn_id).bucket
    if not bucket:
        raise AirflowFailException(
            f"the Airflow connection {aws_conn_id!r} has no bucket; set service_config.s3.bucket_name in its extra"
        )
    options = ["--bucket", bucket, "--partition", str(partition), "--days", str(window_days), *more]
    try:
        return child.run([command, *options], env=aws_environment(aws_conn_id), log=log)
    except (MissingDataError, ChecksError):
        raise
    except PreprocessingError as error:
        raise AirflowFailException(str(error)) from error


def aws_environment(aws_conn_id: str) -> dict[str, str]:
    """Return this process's environment, with the connection's S3 settings as AWS_* variables.

    Temporary credentials are not renewed: the child must end before they expire.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    hook = S3Hook(aws_conn_id)
    credentials = hook.get_session().get_credentials()
    frozen = credentials.get_frozen_credentials() if credentials else None
    config: Any = hook.config
    settings = {
        "AWS_ACCESS_KEY_ID": frozen and frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen and frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen and frozen.token,
        "AWS_DEFAULT_REGION": hook.region_name,
        "AWS_ENDPOINT_URL_S3": hook.conn_config.get_service_endpoint_url("s3"),
        "AWS_REQUEST_CHECKSUM_CALCULATION": getattr(config, "request_checksum_calculation", None),
        "AWS_RESPONSE_CHECKSUM_VALIDATION": getattr(config, "response_checksum_validation", None),
        "AWS_CA_BUNDLE": hook.verify if isinstance(hook.verify, str) else None,
    }
    # Airflow's own connections and secrets are not passed on.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "AIRFLOW__"))}
    return {**inherited, **{name: str(value) for name, value in settings.items() if value}}
