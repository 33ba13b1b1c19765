"""Score the next day's flights with the champion: follows the asset `flight_delay_champion`, one run per partition.

A promotion that keeps the champion also creates an event, so every day is scored by the model that is in use.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, PartitionedAssetTimetable, task

# preprocessing/ is next to dags/ in the checkout, and Airflow adds only dags/ and plugins/ to the path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from flight_delay import tasks
from flight_delay.form import AWS_CONN_ID, GROUP, POOL

from airflow_sagemaker import (
    RUN_PARTITION,
    SageMakerTrainingPipelineOperator,
    SageMakerTrainingPipelineSensor,
)

PIPELINE = "flight-delay-scoring"


@task(retries=2, retry_delay=timedelta(seconds=10))
def next_day(partition: str) -> dict[str, str]:
    """Build the rows of the day after the partition; returns its date and the S3 URI of the rows."""
    following = str(date.fromisoformat(partition) + timedelta(days=1))
    return {"partition": following, "rows": tasks.rows_of_a_day(AWS_CONN_ID, PIPELINE, following)}


with DAG(
    dag_id="flight_delay_scoring",
    schedule=PartitionedAssetTimetable(assets=Asset("flight_delay_champion")),
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["sagemaker", "example"],
    doc_md=__doc__,
) as dag:
    day: Any = next_day(RUN_PARTITION)
    start = SageMakerTrainingPipelineOperator(
        task_id="start_scoring",
        config={
            "kind": "scoring",
            "pipeline_name": PIPELINE,
            "model": "champion",
            "group": GROUP,
            "input_path": "{{ ti.xcom_pull(task_ids='next_day')['rows'] }}",
            "scoring_instance_type": "ml.m5.large",
        },
        partition="{{ ti.xcom_pull(task_ids='next_day')['partition'] }}",
        aws_conn_id=AWS_CONN_ID,
        pool=POOL,
        retries=3,
        retry_delay=timedelta(seconds=10),
    )
    execution_arn: Any = start.output
    wait = SageMakerTrainingPipelineSensor(
        task_id="wait_for_scores",
        execution_arn=execution_arn,
        aws_conn_id=AWS_CONN_ID,
        poke_interval=5,
        pool=POOL,
        retries=3,
        retry_delay=timedelta(seconds=5),
        timeout=timedelta(hours=6).total_seconds(),
    )
    day >> start >> wait
