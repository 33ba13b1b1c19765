"""The shipped DAG in the real Airflow: scheduled runs, a backfill, and a manual run with the form's defaults."""

from __future__ import annotations

import pytest
from local_stack.demo import DAG_ID
from local_stack.stack import Stack

from tests.support.stack_runs import SMALL, buttons_and_definition, model_exists, outcome_of, wait_for_runs

pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]

FOLLOWER = "flight_delay_follow_up"


@pytest.fixture(scope="module")
def manual(stack: Stack) -> str:
    """The manual run's id. All kinds of runs begin at once: the stack runs no longer than it must."""
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
    return str(stack.airflow.trigger(DAG_ID)["dag_run_id"])


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


def test_manual_run_without_a_partition_trains(stack: Stack, manual: str) -> None:
    runs = wait_for_runs(stack, 1, run_id_pattern=manual)
    assert [run["partition_key"] for run in runs] == [None]
    assert model_exists(stack, outcome_of(stack, runs[0]))
    buttons_and_definition(stack, runs[0])
