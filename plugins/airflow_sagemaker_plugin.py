"""The one plugin of this project: it registers links and pages and stays light, for every process loads it."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_sagemaker.config.partition_keys import partition_folder, partition_key
from airflow_sagemaker.links import LINKS
from airflow_sagemaker.pages import EXTERNAL_VIEWS, FASTAPI_APPS


def bucket_of(aws_conn_id: str | None) -> str:
    """Return the bucket that an Airflow connection names. Raises ValueError when it names none."""
    from airflow_sagemaker.aws.connections import connection_defaults

    bucket = connection_defaults(aws_conn_id).bucket
    if bucket is None:
        raise ValueError(f"connection {aws_conn_id!r} has no bucket: set service_config.s3.bucket_name in its extra")
    return bucket


class AirflowSageMakerPlugin(AirflowPlugin):
    """Links of operator and sensor; the pages Training report and Partition history; macros for partition keys."""

    name = "airflow_sagemaker"
    operator_extra_links: list[Any] = list(LINKS)  # noqa: RUF012 - Airflow's own convention
    macros: list[Any] = [partition_folder, partition_key, bucket_of]  # noqa: RUF012
    """In templates `macros.airflow_sagemaker.partition_folder(dag_run.partition_key)`."""
    fastapi_apps: list[Any] = FASTAPI_APPS
    external_views: list[Any] = EXTERNAL_VIEWS
