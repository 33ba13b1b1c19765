"""The shipped DAG in the real Airflow: every kind of run trains, with the default form and with another."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from local_stack.demo import DAG_ID
from local_stack.stack import Stack

pytestmark = pytest.mark.timeout(1200)

MINUTES = 60
FOLLOWER = "flight_delay_follow_up"
SMALL = {"window_days": 28, "epochs": 2}
"""What is set in the form of most runs: a whole window of 90 days is trained once or twice, not six times."""


def wait_for_runs(
    stack: Stack, count: int, *, dag_id: str = DAG_ID, minutes: float = 16, **query: Any
) -> list[dict[str, Any]]:
    """The runs that match `query`, once `count` have ended; fails with the tasks' logs when one did not succeed."""
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


@pytest.fixture(scope="module")
def manual(stack: Stack) -> dict[str | None, str]:
    """The manual runs' ids by partition. All kinds of runs begin at once: the stack runs no longer than it must."""
    for dag_id in (DAG_ID, FOLLOWER):
        stack.airflow.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})
    body = {
        "dag_id": DAG_ID,
        "from_date": "2013-05-01T00:00:00Z",
        "to_date": "2013-05-03T00:00:00Z",
        "max_active_runs": 2,
        "reprocess_behavior": "none",
        "dag_run_conf": SMALL,
    }
    stack.airflow.call("POST", "/backfills", json=body)
    forms: dict[str | None, dict[str, Any]] = {"2013-07-04": SMALL, None: {}}
    return {
        partition: stack.airflow.trigger(DAG_ID, partition=partition, conf=form)["dag_run_id"]
        for partition, form in forms.items()
    }


@pytest.mark.usefixtures("manual")
def test_backfill_trains_one_model_per_date_and_another_dag_follows(stack: Stack) -> None:
    runs = wait_for_runs(stack, 3, run_type="backfill")
    assert sorted(run["partition_key"] for run in runs) == ["2013-05-01", "2013-05-02", "2013-05-03"]
    outcomes = [outcome_of(stack, run) for run in runs]
    assert all(model_exists(stack, outcome) for outcome in outcomes)
    assert len({outcome["model_artifact"] for outcome in outcomes}) == 3
    assert len({outcome["metrics"]["Validation AUC ROC"] for outcome in outcomes}) == 3
    assert all(outcome["report"]["test"]["AUC ROC"] > 0.55 for outcome in outcomes)
    assert all(outcome["report"]["hyperparameters"]["epochs"] == SMALL["epochs"] for outcome in outcomes)
    # one definition for all partitions
    assert len({outcome["digest"] for outcome in outcomes}) == 1
    for run in runs:
        log = stack.airflow.log(DAG_ID, run["dag_run_id"], "wait_for_training")
        assert "deferred" in log.lower()

    # A scheduled run trains meanwhile, and is followed, too.
    followed = wait_for_runs(stack, 3, dag_id=FOLLOWER, partition_key_pattern="2013-05-%")
    models = {run["partition_key"]: outcome["model_artifact"] for run, outcome in zip(runs, outcomes, strict=True)}
    for run in followed:
        found = stack.airflow.xcom(FOLLOWER, run["dag_run_id"], "newest_model")
        assert found == {"partition": run["partition_key"], "model_artifact": models.pop(run["partition_key"])}
    assert models == {}


@pytest.mark.usefixtures("manual")
def test_scheduled_run_trains(stack: Stack) -> None:
    runs = wait_for_runs(stack, 1, run_type="scheduled")
    assert all(model_exists(stack, outcome_of(stack, run)) for run in runs)


@pytest.mark.parametrize("partition", ["2013-07-04", None])
def test_manual_run_trains(stack: Stack, manual: dict[str | None, str], partition: str | None) -> None:
    runs = wait_for_runs(stack, 1, run_id_pattern=manual[partition])
    assert [run["partition_key"] for run in runs] == [partition]
    assert model_exists(stack, outcome_of(stack, runs[0]))
    buttons_and_definition(stack, runs[0])


def buttons_and_definition(stack: Stack, run: dict[str, Any]) -> None:
    """What the pages and a person need of a finished run: addresses that answer, and the definition that ran."""
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
