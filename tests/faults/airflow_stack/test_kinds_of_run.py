"""The three kinds of run in a real Airflow with its scheduler on, as tests/matrix tries them with each version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.faults.airflow_stack.conftest import Faulty, running_faulty

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.slow,
    pytest.mark.skipif(
        "MATRIX_ROW" not in os.environ, reason="tests/integration/stack tries them with the pinned Airflow"
    ),
]


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with running_faulty(tmp_path_factory.mktemp("kinds"), schedules=True) as made:
        yield made


def ended(faulty: Faulty, dag_id: str, run_id: str, pipeline: str = "faulty") -> dict[str, Any]:
    faulty.wait(
        lambda: faulty.airflow.run(dag_id, run_id)["state"] in ("success", "failed"), f"the end of {run_id}", 300
    )
    run = faulty.airflow.run(dag_id, run_id)
    assert run["state"] == "success", faulty.story(dag_id, run_id)
    assert [e["PipelineExecutionStatus"] for e in faulty.executions(run_id, pipeline)] == ["Succeeded"]
    return run


def test_a_manual_run_ends_with_an_outcome(scheduled: Faulty) -> None:
    run = scheduled.trigger("start_and_wait", seconds=2, day="2013-07-01")
    ended(scheduled, "start_and_wait", run)
    outcome = scheduled.airflow.xcom("start_and_wait", run, "wait")
    assert outcome["status"] == "Succeeded"
    assert outcome["instance_type"] == "ml.m5.large"


def test_a_scheduled_run_trains_its_partition_and_a_backfill_those_that_were_asked_for(scheduled: Faulty) -> None:
    today = datetime.now(UTC).date()
    for day in ("2013-03-01", "2013-02-28", *(str(today - timedelta(days=days)) for days in range(3))):
        scheduled.put_channels(day)
    scheduled.airflow.call("PATCH", "/dags/soak", json={"is_paused": False})

    def runs(kind: str) -> list[dict[str, Any]]:
        listed = scheduled.airflow.get("/dags/soak/dagRuns", limit=20)["dag_runs"]
        return [run for run in listed if run["run_type"] == kind]

    scheduled.wait(lambda: runs("scheduled"), "the scheduled run")
    run = ended(scheduled, "soak", runs("scheduled")[0]["dag_run_id"])
    assert run["partition_key"] in {str(today - timedelta(days=days)) for days in range(3)}

    day = "2013-03-01T00:00:00Z"
    body = {"dag_id": "soak", "from_date": day, "to_date": day, "max_active_runs": 1, "reprocess_behavior": "none"}
    scheduled.airflow.call("POST", "/backfills", json=body)
    scheduled.wait(lambda: runs("backfill"), "the run of the backfill")
    run = ended(scheduled, "soak", runs("backfill")[0]["dag_run_id"])
    # Airflow 3.2 takes the dates of a backfill for those of the runs, which begin a day after their partition
    assert run["partition_key"] in {"2013-03-01", "2013-02-28"}


def test_the_dag_class_and_the_task_group_check_train_and_report(scheduled: Faulty) -> None:
    day, airflow = "2013-07-03", scheduled.airflow
    for dag_id in ("one_line", "grouped"):
        for number, channel in enumerate(("train", "val", "test")):
            rows = {"id": [2 * number, 2 * number + 1], "y": [0, 1], "a": [0.5, 1.5]}
            scheduled.put_table(dag_id.replace("_", "-"), day, channel, rows)
        airflow.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})
    runs = {
        "one_line": airflow.trigger("one_line", partition=day, conf={"epochs": 2})["dag_run_id"],
        "grouped": airflow.trigger("grouped", conf={"epochs": 2, "day": day})["dag_run_id"],
    }
    for dag_id, report in (("one_line", "report"), ("grouped", "training.report")):
        ended(scheduled, dag_id, runs[dag_id], pipeline=dag_id.replace("_", "-"))
        found = airflow.xcom(dag_id, runs[dag_id], report)
        assert found["partition"] == day
        assert found["metrics"]["Train Loss"]["model"] == 0.5, "after the form's two epochs"
