"""Two tasks after the preprocessing: one starts the training, one waits for it in the triggerer.

Clearing `start_training` trains again; clearing `wait_for_training` only waits again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronPartitionTimetable, task

from airflow_sagemaker import SageMakerTrainingPipelineOperator, SageMakerTrainingPipelineSensor
from airflow_sagemaker.operators import RUN_PARTITION


@task
def preprocess(partition: str) -> str:
    """Write the partition's table; returns its folder."""
    from customers.table import write_table

    return write_table("customers", partition)


with DAG(
    dag_id="customers_two_tasks",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["sagemaker", "example"],
    doc_md=__doc__,
) as dag:
    start = SageMakerTrainingPipelineOperator(
        task_id="start_training",
        config="customers/training.yaml",  # relative to this file
        retries=3,
        retry_delay=timedelta(seconds=30),
    )
    wait = SageMakerTrainingPipelineSensor(
        task_id="wait_for_training",
        execution_arn=start.output,
        retries=3,
        retry_delay=timedelta(seconds=30),
    )
    preprocess(RUN_PARTITION) >> start >> wait
