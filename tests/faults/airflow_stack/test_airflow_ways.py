"""Ways of using operator and sensor that only a real Airflow can show: timeouts, mapping, pools, assets, backfills."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from local_stack.settings import USERNAME

from airflow_sagemaker.aws import Aws
from airflow_sagemaker.execution import Executions
from airflow_sagemaker.hooks import AwsTarget
from airflow_sagemaker.orphans import AirflowApi, find_orphans
from tests.faults.airflow_stack.conftest import Faulty

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
LONG = 600


def test_the_scheduler_is_killed_while_the_sensor_waits(faulty: Faulty) -> None:
    run = faulty.trigger("start_and_wait", seconds=12, day="2013-02-01")
    faulty.wait_task("start_and_wait", run, "start", "running", "success")
    faulty.kill_and_restart("scheduler")
    faulty.wait_task("start_and_wait", run, "wait", "success")
    assert [e["PipelineExecutionStatus"] for e in faulty.executions(run)] == ["Succeeded"]


def test_a_sensor_whose_triggerer_is_killed_misses_no_line_and_marks_those_told_again(faulty: Faulty) -> None:
    run = faulty.trigger("start_and_wait", seconds=15, day="2013-02-08")
    faulty.wait_task("start_and_wait", run, "wait", "deferred")
    faulty.wait(lambda: "Train Loss: 1.0" in faulty.airflow.log("start_and_wait", run, "wait"), "a line while it runs")
    faulty.kill_and_restart("triggerer")
    faulty.wait_task("start_and_wait", run, "wait", "success")
    log = faulty.airflow.log("start_and_wait", run, "wait")
    assert [epoch for epoch in range(15) if f"Train Loss: {1 / (epoch + 1):.6f}" not in log] == [], log
    assert "[Train earlier]" in log
    assert [e["PipelineExecutionStatus"] for e in faulty.executions(run)] == ["Succeeded"]


def test_the_model_is_an_asset_event_with_partition_and_metrics(faulty: Faulty) -> None:
    run = faulty.trigger("start_and_wait", seconds=2, day="2013-02-02")
    faulty.wait_task("start_and_wait", run, "wait", "success")
    events = faulty.airflow.get("/assets/events", source_dag_id="start_and_wait", source_run_id=run)["asset_events"]
    assert len(events) == 1
    assert events[0]["partition_key"] == "2013-02-02"
    assert events[0]["extra"]["metrics"]["Train Loss"] == pytest.approx(0.5)
    assert events[0]["extra"]["model_artifact"].endswith("model.tar.gz")


def test_a_deferred_sensors_timeout_stops_when_asked(faulty: Faulty) -> None:
    run = faulty.trigger("timing_out", seconds=LONG, day="2013-02-03")
    faulty.wait_task("timing_out", run, "wait", "failed")
    faulty.wait(lambda: faulty.executions(run)[0]["PipelineExecutionStatus"] == "Stopped", "the stop")
    assert len(faulty.executions(run)) == 1


def test_a_rescheduled_sensor_tells_every_line_once(faulty: Faulty) -> None:
    run = faulty.trigger("rescheduling", seconds=8, day="2013-02-04")
    faulty.wait_task("rescheduling", run, "wait", "success")
    log = faulty.airflow.log("rescheduling", run, "wait")
    counts = [log.count(f"Train Loss: {1 / (epoch + 1):.6f}") for epoch in range(8)]
    assert counts == [1] * 8, log
    assert faulty.airflow.xcom("rescheduling", run, "wait")["status"] == "Succeeded"


def test_mapped_over_partitions(faulty: Faulty) -> None:
    for day in ("2014-01-01", "2014-01-02"):
        faulty.put_channels(day)
    run = faulty.trigger("mapped", seconds=2, day="2013-02-05")
    faulty.wait(lambda: faulty.airflow.run("mapped", run)["state"] in ("success", "failed"), "the run's end")
    assert faulty.airflow.run("mapped", run)["state"] == "success", faulty.story("mapped", run)
    owners = sorted(e["PipelineExecutionDisplayName"][:10] for e in faulty.executions(run))
    assert owners == ["2014-01-01", "2014-01-02"]


def test_dry_run_test_mode_pool_and_a_full_pipeline(faulty: Faulty) -> None:
    if not faulty.airflow.exists("/pools/one_at_a_time"):
        body = {"name": "one_at_a_time", "slots": 1, "description": "", "include_deferred": True}
        faulty.airflow.call("POST", "/pools", json=body)
    for day in ("2013-02-06", "2014-02-02"):
        faulty.put_channels(day, "guarded")
    run = faulty.trigger("guarded", seconds=5, day="2013-02-06")
    faulty.wait_task("guarded", run, "dry", "skipped")
    assert faulty.airflow.xcom("guarded", run, "dry", "training_pipeline")["parameters"]["HyperparameterEpochs"] == "5"
    faulty.wait_task("guarded", run, "first", "success")
    first = faulty.airflow.xcom("guarded", run, "first", "training_pipeline")["parameters"]
    assert (first["HyperparameterEpochs"], first["TrainingInstanceType"]) == ("1", "ml.m5.large")
    faulty.wait_task("guarded", run, "second", "success")
    assert len(faulty.executions(run, "guarded")) == 2


def test_a_backfill_that_reprocesses_trains_anew_and_once(faulty: Faulty) -> None:
    faulty.put_channels("2013-03-01")
    faulty.airflow.call("PATCH", "/dags/soak", json={"is_paused": False})
    for number, behaviour in enumerate(("none", "completed"), start=1):
        day = "2013-03-01T00:00:00Z"
        body = {
            "dag_id": "soak", "from_date": day, "to_date": day, "max_active_runs": 1, "reprocess_behavior": behaviour,
        }  # fmt: skip
        backfill = faulty.airflow.call("POST", "/backfills", json=body)["id"]

        def completed(backfill: int = backfill) -> bool:
            return bool(faulty.airflow.get(f"/backfills/{backfill}")["completed_at"])

        faulty.wait(completed, f"the backfill ({behaviour})")
        runs = faulty.airflow.get("/dags/soak/dagRuns", limit=10)["dag_runs"]
        assert [run["state"] for run in runs] == ["success"] * number
    assert {run["partition_key"] for run in runs} == {"2013-03-01"}
    assert [len(faulty.executions(run["dag_run_id"])) for run in runs] == [1, 1]


@pytest.fixture
def executions(faulty: Faulty) -> Iterator[Executions]:
    before = dict(os.environ)
    os.environ["AIRFLOW_CONN_STACK"] = faulty.stack.environment["AIRFLOW_CONN_AWS_DEFAULT"]
    yield Executions(Aws(AwsTarget("stack")))
    os.environ.clear()
    os.environ.update(before)


def test_an_execution_whose_sensor_was_marked_failed_is_an_orphan(faulty: Faulty, executions: Executions) -> None:
    run = faulty.trigger("start_and_wait", seconds=LONG, day="2013-02-07")
    faulty.wait_task("start_and_wait", run, "wait", "deferred")
    airflow = AirflowApi.signed_in(faulty.stack.url, USERNAME, faulty.stack.password)

    def reasons() -> dict[str, str]:
        found = find_orphans(executions, airflow, ["faulty"])
        return {orphan.execution.owner["run_id"]: orphan.reason for orphan in found}

    assert run not in reasons()
    faulty.mark("start_and_wait", run, "wait", "failed")
    faulty.wait(lambda: run in reasons(), "the orphan")
    assert "its DAG run is failed" in reasons()[run]
    assert faulty.executions(run)[0]["PipelineExecutionStatus"] == "Executing"
    executions.stop(faulty.executions(run)[0]["PipelineExecutionArn"])
