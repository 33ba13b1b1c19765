"""Ways of using operator and sensor that only a real Airflow can show: timeouts, mapping, pools, assets, backfills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from local_stack.settings import BUCKET, ROOT, USERNAME

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
    faulty.wait(lambda: "Train Loss: 1.0" in faulty.log("start_and_wait", run, "wait"), "a line while it runs")
    faulty.kill_and_restart("triggerer")
    faulty.wait_task("start_and_wait", run, "wait", "success")
    log = faulty.log("start_and_wait", run, "wait")
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
    log = faulty.log("rescheduling", run, "wait")
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


def test_a_configuration_that_a_task_returns(faulty: Faulty) -> None:
    run = faulty.trigger("returned", seconds=1, day="2013-02-10")
    faulty.wait_task("returned", run, "start_true", "success")
    faulty.wait_task("returned", run, "start_false", "failed")
    assert "return config.to_dict() from that task instead" in faulty.log("returned", run, "start_false")
    assert faulty.task("returned", run, "start_false")["try_number"] == 1, "it is not retried"


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


def orphans(faulty: Faulty, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code and findings, by run, of the command line."""
    done = subprocess.run(
        [
            sys.executable, "-m", "airflow_sagemaker", "orphans", "--json", "--pipeline", "faulty", *arguments,
            "--airflow-url", faulty.stack.url, "--username", USERNAME, "--password", faulty.stack.password,
            "--record-bucket", BUCKET,
        ],
        env={**os.environ, **faulty.stack.aws, "PYTHONPATH": str(ROOT / "plugins")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, {orphan["execution_arn"]: orphan for orphan in json.loads(done.stdout)["orphans"]}


def test_an_execution_whose_sensor_was_marked_failed_is_an_orphan_that_can_be_stopped(faulty: Faulty) -> None:
    run = faulty.trigger("start_and_wait", seconds=LONG, day="2013-02-07")
    faulty.wait_task("start_and_wait", run, "wait", "deferred")
    ours = faulty.executions(run)[0]["PipelineExecutionArn"]
    details = faulty.airflow.xcom("start_and_wait", run, "start", "training_pipeline")

    def started_by(dag_id: str, run_id: str) -> str:
        """As another Airflow in the same account would."""
        reply = faulty.sagemaker.start_pipeline_execution(
            PipelineName="faulty",
            PipelineParameters=[{"Name": name, "Value": value} for name, value in details["parameters"].items()],
            PipelineExecutionDescription=json.dumps(
                {"dag_id": dag_id, "run_id": run_id, "task_id": "start", "map_index": -1}
            ),
        )
        return str(reply["PipelineExecutionArn"])

    foreign = started_by("elsewhere", "another Airflow's")
    twin = started_by("start_and_wait", run)

    def status(arn: str) -> str:
        described = faulty.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return str(described["PipelineExecutionStatus"])

    code, found = orphans(faulty)
    assert (code, ours in found) == (1, False)
    assert {arn: found[arn]["known"] for arn in (foreign, twin)} == {foreign: False, twin: False}

    faulty.mark("start_and_wait", run, "wait", "failed")
    faulty.wait(lambda: faulty.airflow.run("start_and_wait", run)["state"] == "failed", "the run's end")
    code, found = orphans(faulty)
    assert code == 1
    assert "its DAG run is failed" in found[ours]["reason"]
    assert "did not start the execution" in found[twin]["reason"]
    assert status(ours) == "Executing"

    code, found = orphans(faulty, "--stop")
    assert code == 1, "those that this Airflow does not know are left alone"
    assert [found[arn]["stopped"] for arn in (ours, foreign, twin)] == [True, False, False]
    faulty.wait(lambda: status(ours) == "Stopped", "the stop")
    assert (status(foreign), status(twin)) == ("Executing", "Executing")

    assert orphans(faulty, "--stop", "--unknown-too")[0] == 0
    assert orphans(faulty, "--stop", "--unknown-too")[0] == 0, "stopping or stopped: nothing is left to do"
    faulty.wait(lambda: status(foreign) == status(twin) == "Stopped", "the stop")
    assert orphans(faulty) == (0, {})
