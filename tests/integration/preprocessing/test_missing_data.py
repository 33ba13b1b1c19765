"""What the preprocess task makes of raw dates that are not there, as the form's choice says."""

from __future__ import annotations

import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from tests.faults.airflow.conftest import connection_of

DAGS = Path(__file__).resolve().parents[3] / "dags"
CONNECTION = "no_raw_data"
NAMED = r"partition 2014-03-01: \d+ of \d+ raw files are missing, the first is s3://no-raw-data-\w+/raw/flights/date="


@pytest.fixture
def tasks(local_sagemaker: Any, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    bucket = f"no-raw-data-{uuid.uuid4().hex[:10]}"
    local_sagemaker.client("s3").create_bucket(Bucket=bucket)
    connection = connection_of(local_sagemaker.env, local_sagemaker.endpoint_url, bucket)
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", connection)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.syspath_prepend(str(DAGS))
    from flight_delay import tasks

    return tasks


@pytest.mark.parametrize(("choice", "end"), [("fail", AirflowFailException), ("skip", AirflowSkipException)])
def test_missing_raw_dates_fail_or_skip_the_task_and_are_named(
    tasks: ModuleType, choice: str, end: type[Exception]
) -> None:
    with pytest.raises(end, match=NAMED):
        tasks.preprocess(CONNECTION, "flights", "2014-03-01", 28, choice)


def test_other_unusable_data_are_never_skipped(tasks: ModuleType) -> None:
    with pytest.raises(AirflowFailException, match="a window of 5 days does not fit"):
        tasks.preprocess(CONNECTION, "flights", "2014-03-01", 5, "skip")


def test_an_unknown_choice_fails_before_anything_is_read(tasks: ModuleType) -> None:
    with pytest.raises(AirflowFailException, match=r"missing_data is 'wait'; expected one of fail, skip"):
        tasks.preprocess(CONNECTION, "flights", "2014-03-01", 28, "wait")
