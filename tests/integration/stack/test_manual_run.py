"""The shipped DAG in the real Airflow, triggered manually for a partition."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_stack.demo import DAG_ID
from local_stack.settings import Home
from local_stack.stack import running_stack

from tests.support.stack_runs import SMALL, buttons_and_definition, model_exists, outcome_of, wait_for_runs


@pytest.mark.timeout(900)
def test_manual_run_of_a_partition_trains(tmp_path: Path) -> None:
    with running_stack(Home(tmp_path), schedules=False, max_jobs=2) as stack:
        client = stack.airflow
        stack.processes.wait_until(lambda: client.exists(f"/dags/{DAG_ID}"), what="the DAG", seconds=120)
        client.call("PATCH", f"/dags/{DAG_ID}", json={"is_paused": False})
        client.trigger(DAG_ID, partition="2013-07-04", conf=SMALL)
        run = wait_for_runs(stack, 1)[0]
        assert run["partition_key"] == "2013-07-04"
        assert model_exists(stack, outcome_of(stack, run))
        buttons_and_definition(stack, run)
