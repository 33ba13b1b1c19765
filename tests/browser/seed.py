"""Write a year of finished runs with their XComs into Airflow's database; run with the environment of that Airflow.

`python seed.py DAG_ID FIRST_DATE DAYS`. Running 365 DAG runs for a picture would take minutes; these rows are the same.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "dags"))

import shapes
from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy.orm import Session

FAILED = {"2013-03-09", "2013-07-20", "2013-11-02"}
MISSING = {"2013-04-01", "2013-04-02"}


def main(dag_id: str, first: str, days: int) -> None:
    with create_session() as session:
        dag = DBDagBag().get_latest_version_of_dag(dag_id, session=session)
        for offset in range(days):
            day = date.fromisoformat(first) + timedelta(days=offset)
            if day.isoformat() not in MISSING:
                write_run(session, dag, day)


def write_run(session: Session, dag: object, day: date) -> None:
    partition = day.isoformat()
    moment = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
    failed = partition in FAILED
    run = dag.create_dagrun(
        run_id=f"scheduled__{partition}",
        run_type=DagRunType.SCHEDULED,
        run_after=moment,
        partition_key=partition,
        logical_date=None,
        data_interval=None,
        state=DagRunState.FAILED if failed else DagRunState.SUCCESS,
        triggered_by=DagRunTriggeredByType.TEST,
        session=session,
        start_date=moment,
    )
    run.end_date = moment + timedelta(seconds=460)
    for number, instance in enumerate(run.get_task_instances(session=session)):
        instance.state = TaskInstanceState.SUCCESS
        instance.start_date = moment + timedelta(seconds=9 * number)
        instance.end_date = moment + timedelta(seconds=9 if number == 0 else 460)
    push(session, run, "start_training", "return_value", shapes.execution_arn(partition))
    push(session, run, "start_training", "training_pipeline", shapes.started(partition))
    if failed:
        run.get_task_instance("wait_for_training", session=session).state = TaskInstanceState.FAILED
    else:
        started_at = (moment + timedelta(seconds=14)).isoformat()
        push(session, run, "wait_for_training", "return_value", shapes.outcome(partition, started_at=started_at))


def push(session: Session, run: DagRun, task_id: str, key: str, value: object) -> None:
    where = {"dag_id": run.dag_id, "run_id": run.run_id, "task_id": task_id, "map_index": -1}
    session.add(XComModel(dag_run_id=run.id, key=key, value=value, timestamp=run.start_date, **where))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
