"""DAGs whose tasks push what a training would push, so that the pages can be seen without training anything."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shapes
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronPartitionTimetable, Param

HOLD = Path(os.environ.get("PAGES_HOLD", "/nonexistent"))
"""While this file exists, trainings pause after three epochs: the tests look at them half done."""


def start_training(**context: Any) -> str:
    run = context["dag_run"]
    partition = shapes.date_in(run.partition_key)
    details = shapes.started(partition)
    if said := context["params"].get("say"):  # something hostile, wherever text may come from outside
        details |= {"pipeline_name": said, "partition": said, "digest": said, "parameters": {said: said}}
    context["ti"].xcom_push(key="training_pipeline", value=details)
    context["ti"].xcom_push(key="training_definition", value=shapes.definition(partition))
    return shapes.execution_arn(partition)


class WaitOperator(PythonOperator):
    """Renders the execution's ARN as the sensor does: by it the report finds who waits for which training."""

    template_fields = (*PythonOperator.template_fields, "execution_arn")

    def __init__(self, *, execution_arn: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.execution_arn = execution_arn


def wait_for_training(**context: Any) -> dict[str, Any]:
    partition = shapes.date_in(context["dag_run"].partition_key)
    epochs = shapes.history(partition, int(context["params"].get("epochs", 12)))
    print("Execution is Executing")
    print("Step Train: Executing (job pipelines-058eea015bd6-Train)")
    for row in epochs:
        while row["epoch"] == 4 and HOLD.exists():
            time.sleep(0.1)
        for name in shapes.METRICS:
            print(f"[Train] {datetime.now(UTC).isoformat(timespec='milliseconds')} {name}: {row[name]:.6f}")
    if reason := context["params"].get("fail"):
        raise RuntimeError(reason)
    outcome = shapes.outcome(partition)
    return {**outcome, "report": {**outcome["report"], **context["params"].get("report", {})}}


def push_checks(**context: Any) -> None:
    context["ti"].xcom_push(key="data_checks", value=shapes.checks())


def wait_in_silence() -> None:
    while HOLD.exists():
        time.sleep(0.1)


def training_dag(dag_id: str) -> DAG:
    with DAG(
        dag_id,
        schedule=CronPartitionTimetable("0 6 * * *", timezone="UTC", key_format="%Y-%m-%d"),
        start_date=datetime(2013, 1, 1),
        catchup=False,
        is_paused_upon_creation=False,
        params={
            "epochs": Param(12, type="integer", minimum=1, maximum=40, title="Epochs", description="Epochs to train."),
            "instance_type": Param("ml.g5.12xlarge", enum=["ml.g5.12xlarge", "ml.m5.large"], title="Instance type"),
        },
    ) as dag:
        start = PythonOperator(task_id="start_training", python_callable=start_training)
        wait = WaitOperator(task_id="wait_for_training", python_callable=wait_for_training, execution_arn=start.output)
        start >> wait
    return dag


shapes_dag = training_dag("pages_training")
seeded_dag = training_dag("pages_year")


with DAG("pages_more", schedule=None, start_date=datetime(2013, 1, 1), is_paused_upon_creation=False) as more_dag:
    check = PythonOperator(task_id="preprocess", python_callable=push_checks)
    start = PythonOperator(task_id="start_training", python_callable=start_training)
    wait = WaitOperator(task_id="wait_for_training", python_callable=wait_for_training, execution_arn=start.output)
    check >> start >> wait >> PythonOperator(task_id="publish", python_callable=wait_in_silence)


def start_one_of_many(number: int, **context: Any) -> str:
    arn = f"{shapes.execution_arn('2013-07-04')}{number}"
    details = shapes.started("2013-07-04") | {"execution_arn": arn, "pipeline_name": f"pipeline-{number}"}
    context["ti"].xcom_push(key="training_pipeline", value=details)
    return arn


def wait_for_one_of_many(**context: Any) -> dict[str, Any]:
    return shapes.outcome("2013-07-04") | {"execution_arn": context["task"].execution_arn}


with DAG("pages_mapped", schedule=None, start_date=datetime(2013, 1, 1), is_paused_upon_creation=False) as mapped_dag:
    many = PythonOperator.partial(task_id="start_training", python_callable=start_one_of_many).expand(
        op_args=[[0], [1], [2]]
    )
    WaitOperator.partial(task_id="wait_for_training", python_callable=wait_for_one_of_many).expand(
        execution_arn=many.output
    )


def start_real_training(**context: Any) -> str:
    """Only tells of an execution that the test has started on the local SageMaker."""
    conf = context["dag_run"].conf
    known = {"execution_arn": conf["arn"], "aws_conn_id": "aws_default", "region_name": "us-east-1"}
    context["ti"].xcom_push(key="training_pipeline", value=shapes.started("2013-07-04") | known)
    return str(conf["arn"])


with DAG("pages_live", schedule=None, start_date=datetime(2013, 1, 1), is_paused_upon_creation=False) as live_dag:
    begun = PythonOperator(task_id="start_training", python_callable=start_real_training)
    begun >> WaitOperator(task_id="wait", python_callable=wait_in_silence, execution_arn=begun.output)

with DAG("pages_without_training", schedule=None, start_date=datetime(2013, 1, 1)) as other_dag:
    PythonOperator(task_id="hello", python_callable=print)
