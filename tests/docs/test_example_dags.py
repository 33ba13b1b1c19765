"""The example DAGs in the real Airflow with the local SageMaker: each of them trains a model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT

PARTITION = "2026-01-31"
TRIGGERED = ("customers_two_tasks", "customers_one_task", "customers_mapped", "customers_table")
BY_ASSET = "customers_on_asset"
SECONDS = 600  # on a busy machine a worker may not start in time, and Airflow waits five minutes before its next try


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 240)
def test_every_example_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from local_stack.settings import Home
    from local_stack.stack import running_stack

    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(ROOT / "examples" / "dags"))
    with running_stack(Home(tmp_path), schedules=False, max_jobs=2) as stack:
        airflow, wait = stack.airflow, stack.processes.wait_until
        dags = (*TRIGGERED, BY_ASSET)
        wait(lambda: all(airflow.exists(f"/dags/{dag}") for dag in dags), what="the example DAGs", seconds=120)
        for dag in dags:
            airflow.call("PATCH", f"/dags/{dag}", json={"is_paused": False})
        for dag in TRIGGERED:
            airflow.trigger(dag, partition=PARTITION)
        runs = {dag: ended_run(stack, dag) for dag in TRIGGERED}
        # Without schedules no run follows an asset: triggered with the key that the table's event carries.
        airflow.trigger(BY_ASSET, partition=PARTITION)
        runs[BY_ASSET] = ended_run(stack, BY_ASSET)
        failed = {dag: tasks_of(airflow, dag, run) for dag, run in runs.items() if run["state"] != "success"}
        assert failed == {}
        event = airflow.get("/assets/events", source_dag_id=BY_ASSET)["asset_events"][0]
        assert event["extra"]["model_artifact"].endswith("model.tar.gz")
        assert event["extra"]["partition"] == PARTITION
        best = airflow.xcom("customers_mapped", runs["customers_mapped"]["dag_run_id"], "choose")
        assert best["status"] == "Succeeded"


def ended_run(stack: Any, dag: str) -> dict[str, Any]:
    """The DAG's run of the partition, once it has ended."""
    deadline = time.monotonic() + SECONDS
    while True:
        stack.processes.check()
        runs = stack.airflow.get(f"/dags/{dag}/dagRuns", limit=10)["dag_runs"]
        ours = [run for run in runs if run["partition_key"] == PARTITION]
        if ours and ours[0]["state"] in ("success", "failed"):
            return dict(ours[0])
        assert time.monotonic() < deadline, f"{dag}: {ours}"
        time.sleep(1)


def tasks_of(airflow: Any, dag: str, run: dict[str, Any]) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in airflow.task_instances(dag, run["dag_run_id"])}
