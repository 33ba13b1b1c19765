"""What the preprocess task makes of raw dates that are not there, as the form's choice says."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from preprocessing import raw
from preprocessing.flights.table import FLIGHTS
from tests.support.flights import write_empty_source

DAGS = Path(__file__).resolve().parents[3] / "dags"
CONNECTION = "no_raw_data"
NAMED = r"partition 2014-03-01: \d+ of \d+ raw files are missing, the first is s3://flights-\w+/raw/flights/date="


@pytest.fixture
def tasks(connection: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
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
    with pytest.raises(AirflowFailException, match="a window of 5 days is not supported"):
        tasks.preprocess(CONNECTION, "flights", "2014-03-01", 5, "skip")


def test_an_unknown_choice_fails_before_anything_is_read(tasks: ModuleType) -> None:
    with pytest.raises(AirflowFailException, match=r"missing_data is 'later'; expected one of fail, skip, wait"):
        tasks.preprocess(CONNECTION, "flights", "2014-03-01", 28, "later")


@pytest.fixture
def empty_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(write_empty_source(tmp_path / "source")))


@pytest.mark.usefixtures("empty_source")
@pytest.mark.parametrize(("choice", "end"), [("fail", AirflowFailException), ("skip", AirflowSkipException)])
def test_a_source_without_the_dates_ends_extract_alike(tasks: ModuleType, choice: str, end: type[Exception]) -> None:
    with pytest.raises(end, match=NAMED):
        tasks.extract(CONNECTION, "2014-03-01", 28, missing_data=choice)


@pytest.mark.usefixtures("empty_source", "tasks")
def test_extract_waits_until_someone_has_brought_the_dates(
    connection: str,
    bucket: str,
    local_sagemaker: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flight_delay.training_dag import extract

    def looked() -> Any:
        return extract.function("2014-03-01", 28, "wait", None)

    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection)
    with caplog.at_level("INFO", "airflow.task"):
        assert not looked().is_done
    assert re.search(f"waiting: {NAMED}", caplog.text)
    window = FLIGHTS.window(date(2014, 3, 1), 28)
    s3 = local_sagemaker.client("s3")
    for name in (raw.raw_key(table, day) for table, days in FLIGHTS.raw_dates(window).items() for day in days):
        s3.put_object(Bucket=bucket, Key=f"raw/{name}", Body=b"")
    found = looked()
    assert found.is_done
    assert found.xcom_value["written"] == 0
    assert found.xcom_value["first"] == "2014-01-04"


@pytest.mark.slow  # an Airflow of its own
def test_a_run_that_skips_missing_raw_dates_is_no_failure(run_dag: Callable[..., dict[str, Any]]) -> None:
    found = run_dag("flight_delay_training", {"missing_data": "skip"}, "extract")
    after = dict.fromkeys(["preprocess", "start_training", "wait_for_training", "report", "promote"], "skipped")
    assert found["run"] == "success", found["log"]
    assert found["tasks"] == {"extract": "success", **after}
