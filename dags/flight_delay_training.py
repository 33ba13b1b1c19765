"""Train a model of flight delays for every date partition: extract -> preprocess -> start -> wait -> report.

The run's partition key is the only date. Scheduled runs train yesterday (the run starts when the day is over); a run
triggered without a key trains today (UTC). The flights are those of 2013, repeated: see preprocessing/source.py.
Everything that differs between AWS and the local SageMaker stands in the Airflow connection `aws_default`.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, CronPartitionTimetable, Param, task

# preprocessing/ lies beside dags/ in the checkout, and Airflow puts only dags/ and plugins/ on the path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from flight_delay import tasks

from airflow_sagemaker import SageMakerTrainingPipelineOperator, SageMakerTrainingPipelineSensor
from airflow_sagemaker.operators import RUN_PARTITION
from preprocessing.fields import field_lists
from preprocessing.window import MAX_DAYS, Window

AWS_CONN_ID = "aws_default"
PIPELINE = "flight-delay-training"
MAX_TRAININGS = 8  # executions of this pipeline at once, whatever starts them: a backfill of a year must not cost one

# A pool that does not exist keeps its tasks queued for ever, so a pool is used only where one is named.
POOL = os.environ.get("SAGEMAKER_TRAINING_POOL", "default_pool")

MODEL = Asset("flight_delay_model")
TABLE = Asset("flight_delay_table")

INSTANCE_TYPES = [
    "ml.m5.large",
    "ml.m5.xlarge",
    "ml.m5.4xlarge",
    "ml.c5.2xlarge",
    "ml.g4dn.xlarge",
    "ml.g5.xlarge",
    "ml.g5.12xlarge",
    "ml.p4d.24xlarge",
]

PARAMS = {
    # The package's own default is ml.g5.12xlarge; this table is small, so a cheap CPU type does.
    "training_instance_type": Param(
        "ml.m5.large", type="string", enum=INSTANCE_TYPES, title="Instance type", section="Compute",
        description="SageMaker instance type; ml.g* and ml.p* have GPUs. The local SageMaker trains on this machine.",
    ),
    "learning_rate": Param(
        0.001, type="number", minimum=0.000001, maximum=1, title="Learning rate", section="Model",
        description="Peak step size of the optimiser.",
    ),
    "batch_size": Param(
        1024, type="integer", minimum=16, maximum=65536, title="Batch size", section="Model",
        description="Rows per optimisation step, over all GPUs together.",
    ),
    "epochs": Param(
        5, type="integer", minimum=1, maximum=200, title="Epochs", section="Model",
        description="Passes over the training rows at most; training stops earlier when validation does not improve.",
    ),
    "window_days": Param(
        Window.days, type="integer", minimum=28, maximum=MAX_DAYS, title="Window (days)", section="Data",
        description=f"Days of flights up to the partition: the last {Window.test_days} test, {Window.val_days} before "
        "them validate, the others train. Longer windows train better and longer.",
    ),
}  # fmt: skip

CONFIG = {
    "pipeline_name": PIPELINE,
    "input_path": "{{ ti.xcom_pull(task_ids='preprocess')['input_path'] }}",
    "training_instance_type": "{{ params.training_instance_type }}",
    "max_runtime_seconds": 4 * 3600,
    "hyperparameters": {
        **field_lists(),
        "learning_rate": "{{ params.learning_rate }}",
        "batch_size": "{{ params.batch_size }}",
        "epochs": "{{ params.epochs }}",
    },
}


@task(retries=2, retry_delay=timedelta(seconds=10))
def extract(partition: str, window_days: int) -> dict[str, Any]:
    """Write the raw dates that the partition's window reads to S3; dates already there stay."""
    return tasks.extract(AWS_CONN_ID, partition, window_days)


@task(retries=2, retry_delay=timedelta(seconds=10), outlets=[TABLE])
def preprocess(partition: str, window_days: int) -> dict[str, Any]:
    """Build train, val and test of the partition and commit them to S3. Returns paths, rows and field lists."""
    return tasks.preprocess(AWS_CONN_ID, PIPELINE, partition, window_days)


@task(outlets=[MODEL])
def report(prepared: dict[str, Any], outcome: dict[str, Any], outlet_events: Any = None) -> dict[str, Any]:
    """Log the model's metrics beside those of a constant predictor, and return them."""
    summary = tasks.report(prepared, outcome)
    outlet_events[MODEL].extra = {name: summary[name] for name in ("model_artifact", "partition")}
    return summary


with DAG(
    dag_id="flight_delay_training",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=MAX_TRAININGS,
    params=PARAMS,
    render_template_as_native_obj=True,
    tags=["sagemaker", "example"],
    doc_md=__doc__,
) as dag:
    inputs: dict[str, Any] = {"partition": RUN_PARTITION, "window_days": "{{ params.window_days }}"}
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
        pool=POOL,
        # Its execute is idempotent; a very short deferral can be reported as failed by Airflow itself.
        retries=3,
        retry_delay=timedelta(seconds=5),
        timeout=timedelta(hours=6).total_seconds(),
    )
    extracted >> prepared >> start >> wait
    report(prepared, wait.output)
