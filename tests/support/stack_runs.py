"""Runs of the shipped DAG in a real Airflow: wait for them and read their results."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
from local_stack.demo import DAG_ID
from local_stack.stack import Stack

MINUTES = 60
SMALL = {"window_days": 28, "epochs": 2}
"""Form of most runs: a window of 28 days takes a third of the default's time."""


def wait_for_runs(
    stack: Stack, count: int, *, dag_id: str = DAG_ID, minutes: float = 16, **query: str | int | bool
) -> list[dict[str, Any]]:
    """Return the runs that match `query` when `count` have ended; fail with the tasks' logs if one has failed."""
    deadline = time.monotonic() + minutes * MINUTES
    while True:
        stack.processes.check()
        runs = stack.airflow.get(f"/dags/{dag_id}/dagRuns", limit=100, **query)["dag_runs"]
        ended = [run for run in runs if run["state"] in ("success", "failed")]
        if len(ended) >= count:
            break
        assert time.monotonic() < deadline, (
            f"{len(ended)} of {count} runs ended: {[(r['dag_run_id'], r['state']) for r in runs]}"
        )
        time.sleep(1)
    for run in ended:
        assert run["state"] == "success", failed_task_log(stack, dag_id, run["dag_run_id"])
    return ended


def failed_task_log(stack: Stack, dag_id: str, run_id: str) -> str:
    tasks = stack.airflow.task_instances(dag_id, run_id)
    failed = [task for task in tasks if task["state"] == "failed"]
    return "\n".join(stack.airflow.log(dag_id, run_id, t["task_id"], t["try_number"]) for t in failed) or str(tasks)


def outcome_of(stack: Stack, run: dict[str, Any]) -> dict[str, Any]:
    outcome = stack.airflow.xcom(DAG_ID, run["dag_run_id"], "wait_for_training")
    assert outcome["status"] == "Succeeded"
    assert isinstance(outcome, dict)
    return outcome


def model_exists(stack: Stack, outcome: dict[str, Any]) -> bool:
    bucket, _, key = outcome["model_artifact"].removeprefix("s3://").partition("/")
    return int(stack.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"]) > 0


def buttons_and_definition(stack: Stack, run: dict[str, Any]) -> None:
    """Check that a finished run's links respond, and return them and the definition that ran."""
    run_id, outcome = run["dag_run_id"], outcome_of(stack, run)
    where = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances"
    links = stack.airflow.get(f"{where}/wait_for_training/links", map_index=-1)["extra_links"]
    assert sorted(links) == ["Model artifact", "SageMaker execution", "Training job", "Training log"]
    for address in links.values():
        assert outcome["training_job_name"] in address or "/ui/executions/" in address
        assert httpx.get(address, trust_env=False).status_code == 200
    started = stack.airflow.xcom(DAG_ID, run_id, "start_training", "training_pipeline")
    assert (started["execution_arn"], started["aws_conn_id"]) == (outcome["execution_arn"], "aws_default")
    definition = stack.airflow.xcom(DAG_ID, run_id, "start_training", "training_definition")
    ran = stack.client("sagemaker").describe_pipeline_definition_for_execution(
        PipelineExecutionArn=outcome["execution_arn"]
    )
    assert definition == json.loads(ran["PipelineDefinition"])
