"""A whole DAG from a YAML file beside it, with the user's own preprocessing and a promotion."""

from __future__ import annotations

import io
import sys
from datetime import timedelta
from pathlib import Path

from airflow.sdk import task

sys.path.append(str(Path(__file__).resolve().parents[4] / "examples" / "dags"))

from customers import AWS_CONN_ID, table

from airflow_sagemaker import SageMakerTrainingDag


@task
def preprocess(bucket: str, path: str, partition: str) -> None:
    """Write the three files of a partition to where the training reads them."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    for split, rows in table.ROWS.items():
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(table.customers(f"{partition}/{split}", rows)), file)
        S3Hook(AWS_CONN_ID).load_bytes(file.getvalue(), f"{path}/{split}/{split}.parquet", bucket, replace=True)


dag = SageMakerTrainingDag(
    "customers_in_one_line.yaml",
    preprocess=preprocess,
    promote="customers-in-one-line",
    form=("epochs", "training_instance_type"),
    retry_delay=timedelta(seconds=10),
)
