"""One training per configuration: the operator and the sensor mapped over three learning rates.

They differ in scalar hyperparameters only, so they are three executions of one definition, which is compiled, uploaded
and deployed once. They train the same partition at the same time, hence `on_busy="ignore"`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronPartitionTimetable, task
from customers import HYPERPARAMETERS, config

from airflow_sagemaker import SageMakerTrainingPipelineOperator, SageMakerTrainingPipelineSensor
from airflow_sagemaker.operators import RUN_PARTITION

PIPELINE = "customers-mapped"
CONFIGS = [
    config(PIPELINE, hyperparameters={**HYPERPARAMETERS, "learning_rate": rate}) for rate in (0.01, 0.003, 0.001)
]


@task
def preprocess(partition: str) -> str:
    """Write the partition's table; returns its folder."""
    from customers.table import write_table

    return write_table(PIPELINE, partition)


@task
def choose(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the outcome with the lowest validation loss."""
    best = min(outcomes, key=lambda outcome: outcome["metrics"]["Validation Loss"])
    print(f"best: {best['model_artifact']}, metrics: {best['metrics']}")
    return best


with DAG(
    dag_id="customers_mapped",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["sagemaker", "example"],
    doc_md=__doc__,
) as dag:
    start = SageMakerTrainingPipelineOperator.partial(
        task_id="start_training",
        on_busy="ignore",
        max_concurrent_executions=3,
        retries=3,
        retry_delay=timedelta(seconds=30),
    ).expand(config=CONFIGS)
    wait = SageMakerTrainingPipelineSensor.partial(
        task_id="wait_for_training", retries=3, retry_delay=timedelta(seconds=30)
    ).expand(execution_arn=start.output)
    preprocess(RUN_PARTITION) >> start
    choose(wait.output)
