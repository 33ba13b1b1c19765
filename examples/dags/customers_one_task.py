"""One task that starts the training and waits for it in the triggerer.

A retry after a *failed* training starts a new execution, which resumes from the last checkpoint. Killing, marking or
clearing the task stops the running execution.
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
    """Print the model and its metrics; the outcome also has status, report and billable seconds."""
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
