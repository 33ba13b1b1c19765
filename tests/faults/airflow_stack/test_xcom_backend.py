"""XCom in object storage and logs on S3, as Airflow's own providers keep them: the database holds references only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from local_stack.settings import BUCKET, ROOT, USERNAME

from tests.faults.airflow_stack.conftest import Faulty, running_faulty
from tests.faults.airflow_stack.test_airflow_ways import orphans

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]
LOGS = "airflow-logs"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    folder = tmp_path_factory.mktemp("xcom")
    (folder / "xcoms").mkdir()
    with running_faulty(
        folder,
        AIRFLOW__CORE__XCOM_BACKEND="airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=f"file://{folder / 'xcoms'}",
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD="0",
        AIRFLOW__LOGGING__REMOTE_LOGGING="True",
        AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER=f"s3://{BUCKET}/{LOGS}",
        AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID="aws_default",
        AIRFLOW__LOGGING__DELETE_LOCAL_LOGS="True",
    ) as made:
        yield made


def summary(faulty: Faulty, dag_id: str) -> tuple[int, dict[str, str]]:
    """Exit code of `backfill-summary` and the state of each partition."""
    done = subprocess.run(
        [
            sys.executable, "-m", "airflow_sagemaker", "backfill-summary", dag_id, "--json",
            "--airflow-url", faulty.stack.url, "--username", USERNAME, "--password", faulty.stack.password,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, {one["run_id"]: one["state"] for one in json.loads(done.stdout)["partitions"]}


def test_what_a_sensor_waits_for_is_no_orphan(elsewhere: Faulty) -> None:
    run = elsewhere.trigger("start_and_wait", seconds=600, day="2013-03-01")
    elsewhere.wait_task("start_and_wait", run, "wait", "deferred")
    assert orphans(elsewhere, "--stop") == (0, {})
    assert [e["PipelineExecutionStatus"] for e in elsewhere.executions(run)] == ["Executing"]
    elsewhere.mark("start_and_wait", run, "wait", "failed")


def test_the_figures_of_a_run_are_read_from_where_they_are(elsewhere: Faulty) -> None:
    run = elsewhere.trigger("start_and_wait", seconds=2, day="2013-03-02")
    elsewhere.wait_task("start_and_wait", run, "wait", "success")
    elsewhere.wait(lambda: elsewhere.airflow.run("start_and_wait", run)["state"] == "success", "the run's end")
    _, states = summary(elsewhere, "start_and_wait")
    assert "done" in states.values(), states


def test_the_trainings_progress_is_in_the_log_on_s3(elsewhere: Faulty) -> None:
    run = elsewhere.trigger("start_and_wait", seconds=2, day="2013-03-03")
    elsewhere.wait(lambda: elsewhere.airflow.run("start_and_wait", run)["state"] == "success", "the run's end")
    arn = elsewhere.executions(run)[0]["PipelineExecutionArn"]
    prefix = f"{LOGS}/dag_id=start_and_wait/run_id={run}/task_id=wait/"
    listed = elsewhere.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    bodies = [elsewhere.s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read().decode() for one in listed]
    assert any(arn in body for body in bodies), "the triggerer's part and the worker's are uploaded"
    shown = elsewhere.log("start_and_wait", run, "wait")
    assert arn in shown
    assert "Succeeded" in shown
