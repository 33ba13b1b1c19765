"""One task that starts the training and waits for it in the triggerer.

Its retries follow a *failed* training: each one starts a new execution that goes on from the last checkpoint. Killing,
marking or clearing the task stops what runs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronPartitionTimetable, task
from customers import config

from airflow_sagemaker import SageMakerTrainingPipelineOperator
from airflow_sagemaker.operators import RUN_PARTITION

PIPELINE = "customers-one-task"


@task
def preprocess(partition: str) -> str:
    """Write the partition's table; returns its folder."""
    from customers.table import write_table

    return write_table(PIPELINE, partition)


@task
def report(outcome: dict[str, object]) -> object:
    """Show what came out: status, model, metrics, report, billable seconds."""
    print(f"model: {outcome['model_artifact']}, metrics: {outcome['metrics']}")
    return outcome["metrics"]


with DAG(
    dag_id="customers_one_task",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["sagemaker", "example"],
    doc_md=__doc__,
) as dag:
    train = SageMakerTrainingPipelineOperator(
        task_id="train",
        config=config(PIPELINE),
        deferrable=True,
        retries=2,
        retry_delay=timedelta(minutes=1),
    )
    preprocess(RUN_PARTITION) >> train
    report(train.output["outcome"])
