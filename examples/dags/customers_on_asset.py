"""Train when the table has changed: one DAG writes the asset `customers_table`, another trains each new partition.

The asset's event has the partition key, so both runs have the same one. The sensor's outlet is an asset, too: its event
has the model's S3 URI, its metrics and the partition, for DAGs that serve the model.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Asset, CronPartitionTimetable, PartitionedAssetTimetable, task
from customers import config

from airflow_sagemaker import SageMakerTrainingPipelineOperator, SageMakerTrainingPipelineSensor
from airflow_sagemaker.operators import RUN_PARTITION

PIPELINE = "customers-on-asset"
TABLE = Asset("customers_table")
MODEL = Asset("customers_model")


@task(outlets=[TABLE])
def preprocess(partition: str) -> str:
    """Write the partition's table; returns its folder."""
    from customers.table import write_table

    return write_table(PIPELINE, partition)


with DAG(
    dag_id="customers_table",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["sagemaker", "example"],
    doc_md=__doc__,
):
    preprocess(RUN_PARTITION)

with DAG(
    dag_id="customers_on_asset",
    schedule=PartitionedAssetTimetable(assets=TABLE),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["sagemaker", "example"],
    doc_md=__doc__,
):
    start = SageMakerTrainingPipelineOperator(
        task_id="start_training", config=config(PIPELINE), retries=3, retry_delay=timedelta(seconds=30)
    )
    wait = SageMakerTrainingPipelineSensor(
        task_id="wait_for_training",
        execution_arn=start.output,
        outlets=[MODEL],
        retries=3,
        retry_delay=timedelta(seconds=30),
    )
    start >> wait
