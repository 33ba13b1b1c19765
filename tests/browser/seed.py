"""Write a year of finished runs with their XComs into Airflow's database; run with the environment of that Airflow.

`python -m tests.browser.seed DAG_ID FIRST_DATE DAYS`. Running 365 DAG runs for a picture would take minutes; these rows
are the same.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.models import xcom
from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import insert, select
from sqlalchemy.orm import Session
from uuid6 import uuid7

from airflow_sagemaker.contract import XCom
from tests.browser.dags import shapes

FAILED = {"2013-03-09", "2013-07-20", "2013-11-02"}
MISSING = {"2013-04-01", "2013-04-02"}
UNREAD = {"2013-05-05"}
"""Of these the outcome is in an XCom backend that the api-server does not have."""


def main(dag_id: str, first: str, days: int) -> None:
    with create_session() as session:
        run, tasks = one_run(session, dag_id)
        all_days = (date.fromisoformat(first) + timedelta(days=offset) for offset in range(days))
        rows = [rows_of(run, tasks, day) for day in all_days if day.isoformat() not in MISSING]
        session.execute(insert(DagRun.__table__), [row for row, _, _ in rows])
        session.execute(insert(TaskInstance.__table__), [task for _, tasks, _ in rows for task in tasks])
        for _, tasks, entries in rows:
            add_xcoms(session, tasks, entries)


def add_xcoms(session: Session, tasks: list[dict[str, Any]], entries: list[dict[str, Any]]) -> None:
    """The XComs of one run. Airflow 3.4 stores them by task instance, in a table that XComModel only reads."""
    table = getattr(xcom, "XComModelV2", xcom.XComModel).__table__
    if table.name == "xcom_v2":
        instances = {task["task_id"]: task["id"] for task in tasks}
        entries = [
            {
                "id": uuid7(), "task_instance_id": instances[entry["task_id"]],
                **{name: entry[name] for name in ("key", "value", "timestamp")},
            }
            for entry in entries
        ]  # fmt: skip
    session.execute(insert(table), entries)


def one_run(session: Session, dag_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The rows of a run made by Airflow itself, and of its task instances: what the others are copied from."""
    made = (
        DBDagBag()
        .get_latest_version_of_dag(dag_id, session=session)
        .create_dagrun(
            run_id="template",
            run_type=DagRunType.SCHEDULED,
            run_after=datetime(2012, 12, 31, tzinfo=UTC),
            partition_key="2012-12-31",
            state=DagRunState.SUCCESS,
            triggered_by=DagRunTriggeredByType.TEST,
            session=session,
        )
    )
    session.flush()
    runs, instances = DagRun.__table__, TaskInstance.__table__
    run = dict(session.execute(select(runs).where(runs.c.id == made.id)).mappings().one())
    tasks = [dict(row) for row in session.execute(select(instances).where(instances.c.run_id == "template")).mappings()]
    session.delete(made)
    session.flush()
    return run, sorted(tasks, key=lambda task: task["task_id"])


def rows_of(run: dict[str, Any], tasks: list[dict[str, Any]], day: date) -> tuple[dict, list[dict], list[dict]]:
    """The rows of one partition: its run, its task instances, their XComs."""
    partition, run_id = day.isoformat(), f"scheduled__{day}"
    moment = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
    end = moment + timedelta(seconds=460)
    state = "failed" if partition in FAILED else "success"
    times = {"start_date": moment, "end_date": end, "run_after": moment}
    number = run["id"] + day.timetuple().tm_yday + 1000 * (day.year - 2012)
    copy = run | times | {"id": number, "run_id": run_id, "partition_key": partition, "state": state}
    starting = {"start_date": moment, "end_date": moment + timedelta(seconds=9), "state": "success"}
    waiting = {"start_date": moment + timedelta(seconds=9), "end_date": end, "state": state}
    instances = [
        task | {"id": uuid7(), "run_id": run_id, "try_number": 1, **times}
        for task, times in zip(tasks, (starting, waiting), strict=True)
    ]
    values = [("start_training", "return_value", shapes.execution_arn(partition))]
    values += [("start_training", "training_pipeline", shapes.started(partition))]
    values += [("start_training", "training_definition", shapes.definition(partition))]
    if partition in UNREAD:
        values += [("wait_for_training", "return_value", f"s3://xcoms/{run_id}/return_value")]
        values += [("wait_for_training", XCom.EXECUTION_LINK.value, "http://console")]
    elif state == "success":
        outcome = shapes.outcome(partition, started_at=(moment + timedelta(seconds=14)).isoformat())
        values += [("wait_for_training", "return_value", outcome)]
        values += [("wait_for_training", XCom.PROMOTION.value, shapes.promotion(partition))]
    where = {"dag_id": run["dag_id"], "run_id": run_id, "dag_run_id": number, "map_index": -1, "timestamp": moment}
    return copy, instances, [where | {"task_id": t, "key": k, "value": value} for t, k, value in values]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
