"""DAGs whose tasks push what a training would push, so that the pages can be seen without training anything."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import shapes
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronPartitionTimetable, Param

EPOCH_SECONDS = 0.4


def start_training(**context: Any) -> str:
    run = context["dag_run"]
    partition = run.partition_key or "2013-07-04"
    context["ti"].xcom_push(key="training_pipeline", value=shapes.started(partition))
    return shapes.execution_arn(partition)


def wait_for_training(**context: Any) -> dict[str, Any]:
    partition = context["dag_run"].partition_key or "2013-07-04"
    epochs = shapes.history(partition, int(context["params"].get("epochs", 12)))
    print("Execution is Executing")
    for row in epochs:
        for name in shapes.METRICS:
            print(f"[Train] {name}: {row[name]:.6f}")
        time.sleep(EPOCH_SECONDS)
    return shapes.outcome(partition)


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
        wait = PythonOperator(task_id="wait_for_training", python_callable=wait_for_training)
        start >> wait
    return dag


shapes_dag = training_dag("pages_training")
seeded_dag = training_dag("pages_year")

with DAG("pages_without_training", schedule=None, start_date=datetime(2013, 1, 1)) as other_dag:
    PythonOperator(task_id="hello", python_callable=print)
