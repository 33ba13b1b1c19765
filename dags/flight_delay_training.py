"""Train a model of flight delays for every date partition: extract -> preprocess -> start -> wait -> report.

The run's partition key is the only date. Scheduled runs train yesterday (the run starts when the day is over); a run
triggered without a key trains today (UTC). The flights are those of 2013, repeated: see preprocessing/source.py.
Everything that differs between AWS and the local SageMaker stands in the Airflow connection `aws_default`.
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
from flight_delay.form import AWS_CONN_ID, HYPERPARAMETERS, MAX_TRAININGS, MISSING_DATA_PARAM, PARAMS, POOL

from airflow_sagemaker import SageMakerTrainingPipelineOperator, SageMakerTrainingPipelineSensor
from airflow_sagemaker.operators import RUN_PARTITION

PIPELINE = "flight-delay-training"
MODEL = Asset("flight_delay_model")
TABLE = Asset("flight_delay_table")

CONFIG = {
    "pipeline_name": PIPELINE,
    "input_path": "{{ ti.xcom_pull(task_ids='preprocess')['input_path'] }}",
    "training_instance_type": "{{ params.training_instance_type }}",
    "max_runtime_seconds": 4 * 3600,
    "hyperparameters": HYPERPARAMETERS,
}


@task(retries=2, retry_delay=timedelta(seconds=10))
def extract(partition: str, window_days: int, missing_data: str) -> dict[str, Any]:
    """Write the raw dates that the partition's window reads to S3; dates already there stay."""
    return tasks.extract(AWS_CONN_ID, partition, window_days, missing_data=missing_data)


@task(retries=2, retry_delay=timedelta(seconds=10), outlets=[TABLE])
def preprocess(partition: str, window_days: int, missing_data: str) -> dict[str, Any]:
    """Build train, val and test of the partition and commit them to S3. Returns paths, rows and field lists."""
    return tasks.preprocess(AWS_CONN_ID, PIPELINE, partition, window_days, missing_data)


@task(outlets=[MODEL])
def report(prepared: dict[str, Any], outcome: dict[str, Any], outlet_events: Any = None) -> dict[str, Any]:
    """Log the model's metrics beside those of a constant predictor, and return them."""
    summary = tasks.report(prepared["partition"], outcome, prepared)
    outlet_events[MODEL].extra = {name: summary[name] for name in ("model_artifact", "partition")}
    return summary


with DAG(
    dag_id="flight_delay_training",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=MAX_TRAININGS,
    params=PARAMS | MISSING_DATA_PARAM,
    render_template_as_native_obj=True,
    tags=["sagemaker", "example"],
    doc_md=__doc__,
) as dag:
    form = {name: f"{{{{ params.{name} }}}}" for name in ("window_days", "missing_data")}
    inputs: dict[str, Any] = {"partition": RUN_PARTITION, **form}
    extracted = extract(**inputs)
    prepared = preprocess(**inputs)
    start = SageMakerTrainingPipelineOperator(
        task_id="start_training",
        config=CONFIG,
        aws_conn_id=AWS_CONN_ID,
        max_concurrent_executions=MAX_TRAININGS,
        poll_interval=10,
        pool=POOL,
        retries=3,
        retry_delay=timedelta(seconds=10),
    )
    wait = SageMakerTrainingPipelineSensor(
        task_id="wait_for_training",
        execution_arn=start.output,
        aws_conn_id=AWS_CONN_ID,
        poke_interval=5,
        progress="logs",  # the report page draws the metrics from this task's log while the job runs
        pool=POOL,
        # Its execute is idempotent; a very short deferral can be reported as failed by Airflow itself.
        retries=3,
        retry_delay=timedelta(seconds=5),
        timeout=timedelta(hours=6).total_seconds(),
    )
    extracted >> prepared >> start >> wait
    report(prepared, wait.output)
