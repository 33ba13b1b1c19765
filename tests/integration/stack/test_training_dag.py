"""`SageMakerTrainingDag` with `preprocess=` and `promote=` in a real Airflow: a backfill, then a run by the form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from local_stack.settings import BUCKET, Home
from local_stack.stack import Stack, running_stack

from tests.support.stack_runs import wait_for_runs

DAG_ID = "customers_in_one_line"
NAME = "customers-in-one-line"
TASKS = ["check_data", "preprocess", "promote", "report", "start_training", "wait_for_training"]
FIRST, SECOND, BY_FORM = "2026-02-01", "2026-02-02", "2026-02-03"


def run_of(stack: Stack, partition: str) -> dict[str, Any]:
    runs = stack.airflow.get(f"/dags/{DAG_ID}/dagRuns", limit=100)["dag_runs"]
    [found] = [run for run in runs if run["partition_key"] == partition]
    return dict(found)


def checks_of(stack: Stack, run: dict[str, Any]) -> dict[str, Any]:
    """The findings of the check task by their name, of those that occur once."""
    findings = stack.airflow.xcom(DAG_ID, run["dag_run_id"], "check_data", "data_checks")
    assert all(finding["ok"] for finding in findings)
    return {f"{finding['check']} of {finding['where']}": finding for finding in findings}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_dag_of_one_line_prepares_trains_and_promotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(Path(__file__).with_name("training_dags")))
    with running_stack(Home(tmp_path), schedules=False, max_jobs=2) as stack:
        airflow = stack.airflow
        stack.processes.wait_until(lambda: airflow.exists(f"/dags/{DAG_ID}"), what="the DAG", seconds=180)
        airflow.call("PATCH", f"/dags/{DAG_ID}", json={"is_paused": False})
        body = {
            "dag_id": DAG_ID, "from_date": f"{FIRST}T00:00:00Z", "to_date": f"{SECOND}T00:00:00Z",
            "max_active_runs": 1, "reprocess_behavior": "none",
        }  # fmt: skip
        airflow.call("POST", "/backfills", json=body)
        wait_for_runs(stack, 2, dag_id=DAG_ID)
        airflow.trigger(DAG_ID, partition=BY_FORM, conf={"epochs": 2})
        wait_for_runs(stack, 3, dag_id=DAG_ID)

        runs = {partition: run_of(stack, partition) for partition in (FIRST, SECOND, BY_FORM)}
        for partition, run in runs.items():
            states = {task["task_id"]: task["state"] for task in airflow.task_instances(DAG_ID, run["dag_run_id"])}
            assert states == dict.fromkeys(TASKS, "success")
            reported = airflow.xcom(DAG_ID, run["dag_run_id"], "report")
            assert (reported["partition"], reported["rows"]["train"]) == (partition, 4000)
            listed = stack.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"{NAME}/input/{partition}/")
            assert [item["Key"].rpartition("/")[2] for item in listed["Contents"]] == [
                "test.parquet", "train.parquet", "val.parquet",
            ]  # fmt: skip

        earlier = {partition: checks_of(stack, run) for partition, run in runs.items()}
        of_first = earlier[FIRST]["earlier partitions compared with of train"]
        of_second = earlier[SECOND]["earlier partitions compared with of train"]
        assert (of_first["value"], of_second["value"]) == (0, 1)
        assert of_second["example"] == f"s3://{BUCKET}/{NAME}/input/{FIRST}"
        assert "drift (PSI) since the last partition of train.visits" in earlier[BY_FORM]

        promoted = {p: airflow.xcom(DAG_ID, run["dag_run_id"], "promote") for p, run in runs.items()}
        assert promoted[FIRST]["status"] == "Approved"
        assert promoted[SECOND]["champion_arn"] == promoted[FIRST]["package_arn"]
        assert {one["partition"] for one in promoted.values()} == {*runs}
        packages = stack.client("sagemaker").list_model_packages(ModelPackageGroupName=NAME)
        assert len(packages["ModelPackageSummaryList"]) == 3

        outcome = airflow.xcom(DAG_ID, runs[BY_FORM]["dag_run_id"], "wait_for_training")
        assert len(outcome["report"]["history"]) == 2, "the form's epochs"
