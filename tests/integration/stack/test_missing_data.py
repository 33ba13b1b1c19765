"""What becomes of runs whose raw dates are missing, under a real scheduler: waited for, skipped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_stack.settings import BUCKET, Home
from local_stack.stack import Stack, running_stack

from preprocessing.flights import source
from preprocessing.flights.table import FLIGHTS
from tests.support.flights import write_empty_source

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]
DAG_ID = "impatient_training"
DAYS = 28
AFTER = ("preprocess", "start_training", "wait_for_training", "report")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose source system has no flights to give: what is on S3, somebody else has brought."""
    folder = tmp_path_factory.mktemp("missing")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(write_empty_source(folder / "source")))
        environment.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(Path(__file__).with_name("dags")))
        with running_stack(Home(folder / "home"), max_jobs=1, schedules=False) as running:
            client = running.airflow
            running.processes.wait_until(lambda: client.exists(f"/dags/{DAG_ID}"), what="the DAG", seconds=120)
            client.call("PATCH", f"/dags/{DAG_ID}", json={"is_paused": False})
            yield running


def run_of(stack: Stack, partition: str, missing_data: str) -> str:
    conf = {"missing_data": missing_data, "window_days": DAYS, "epochs": 1}
    return str(stack.airflow.trigger(DAG_ID, partition=partition, conf=conf)["dag_run_id"])


def wait(stack: Stack, run_id: str, reached: Callable[[], Any], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        stack.processes.check()
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{story(stack, run_id)}"
        time.sleep(0.5)


def story(stack: Stack, run_id: str) -> str:
    """All tasks of the run with the end of their last logs."""
    lines = []
    for task in stack.airflow.task_instances(DAG_ID, run_id):
        lines.append(f"--- {task['task_id']}: {task['state']}, try {task['try_number']}")
        lines.append(log(stack, run_id, task["task_id"])[-4000:])
    return "\n".join(lines)


def log(stack: Stack, run_id: str, task_id: str) -> str:
    try:
        return stack.airflow.log(DAG_ID, run_id, task_id)
    except httpx.HTTPStatusError as error:
        return f"(no log: {error})"


def states(stack: Stack, run_id: str) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in stack.airflow.task_instances(DAG_ID, run_id)}


def bring(stack: Stack, partition: date) -> None:
    """Put all raw files that the partition reads on S3, as another system would."""
    window, s3 = FLIGHTS.window(partition, DAYS), stack.client("s3")
    for key, content in source.extract(FLIGHTS.raw_dates(window)):
        s3.put_object(Bucket=BUCKET, Key=f"raw/{key}", Body=content)


def ended(stack: Stack, run_id: str) -> bool:
    return stack.airflow.run(DAG_ID, run_id)["state"] in ("success", "failed")


def test_a_run_waits_without_a_worker_until_its_raw_dates_are_brought_and_then_trains(stack: Stack) -> None:
    run_id = run_of(stack, "2013-05-15", "wait")
    wait(stack, run_id, lambda: states(stack, run_id)["extract"] == "up_for_reschedule", "the first look", 180)
    wait(stack, run_id, lambda: log(stack, run_id, "extract").count("waiting: ") >= 2, "the second look", 180)
    assert "raw files are missing" in log(stack, run_id, "extract")
    bring(stack, date(2013, 5, 15))
    wait(stack, run_id, lambda: ended(stack, run_id), "the run's end", 600)
    assert states(stack, run_id) == dict.fromkeys(("extract", *AFTER), "success"), story(stack, run_id)
    assert stack.airflow.xcom(DAG_ID, run_id, "extract")["written"] == 0
    outcome = stack.airflow.xcom(DAG_ID, run_id, "wait_for_training")
    assert outcome["status"] == "Succeeded"
    bucket, _, key = outcome["model_artifact"].removeprefix("s3://").partition("/")
    assert stack.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 0


def test_a_run_that_skips_is_skipped_with_all_that_follows_and_is_no_failure(stack: Stack) -> None:
    run_id = run_of(stack, "2014-06-01", "skip")
    wait(stack, run_id, lambda: ended(stack, run_id), "the run's end", 300)
    assert stack.airflow.run(DAG_ID, run_id)["state"] == "success", story(stack, run_id)
    assert states(stack, run_id) == dict.fromkeys(("extract", *AFTER), "skipped")
    assert "raw files are missing" in log(stack, run_id, "extract")
