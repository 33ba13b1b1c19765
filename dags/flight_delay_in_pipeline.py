"""The same training with the preprocessing inside the SageMaker pipeline: extract -> train -> report.

One execution has two steps: a Processing job that makes the splits, and the training that reads them. The operator
waits for both itself (`deferrable`). Choose this shape when Airflow's workers shall not touch the data.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, CronPartitionTimetable, task

# preprocessing/ lies beside dags/ in the checkout, and Airflow puts only dags/ and plugins/ on the path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from flight_delay import tasks
from flight_delay.form import AWS_CONN_ID, HYPERPARAMETERS, MAX_TRAININGS, PARAMS, POOL

from airflow_sagemaker import SageMakerTrainingPipelineOperator
from airflow_sagemaker.operators import RUN_PARTITION
from preprocessing.window import Window

PIPELINE = "flight-delay-in-pipeline"
MODEL = Asset("flight_delay_model_in_pipeline")

CONFIG = {
    "pipeline_name": PIPELINE,
    "training_instance_type": "{{ params.training_instance_type }}",
    "max_runtime_seconds": 4 * 3600,
    "hyperparameters": HYPERPARAMETERS,
}


@task(retries=2, retry_delay=timedelta(seconds=10))
def extract(partition: str, window_days: int) -> dict[str, Any]:
    """Write the raw dates that the partition's window reads to S3, and list them for the Processing job."""
    return tasks.extract(AWS_CONN_ID, partition, window_days, list_for=PIPELINE)


@task(outlets=[MODEL])
def report(partition: str, outcome: dict[str, Any]) -> dict[str, Any]:
    """Log the model's metrics beside those of a constant predictor, and return them."""
    return tasks.report(partition, outcome)


with DAG(
    dag_id="flight_delay_in_pipeline",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=MAX_TRAININGS,
    # The Processing step is part of the definition, so its window is the program's default for every run.
    params={name: param for name, param in PARAMS.items() if name != "window_days"},
    render_template_as_native_obj=True,
    tags=["sagemaker", "example"],
    doc_md=__doc__,
) as dag:
    extracted = extract(partition=RUN_PARTITION, window_days=Window.days)
    train = SageMakerTrainingPipelineOperator(
        task_id="train",
        config=CONFIG,
        dependencies=["flight_delay.processing_step:preprocess"],
        aws_conn_id=AWS_CONN_ID,
        deferrable=True,
        max_concurrent_executions=MAX_TRAININGS,
        poll_interval=5,
        pool=POOL,
        retries=1,
        retry_delay=timedelta(seconds=10),
    )
    extracted >> train
    report(partition=RUN_PARTITION, outcome=train.output["outcome"])
