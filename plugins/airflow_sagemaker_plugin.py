"""The one plugin of this project: it registers links and pages and stays light, for every process loads it."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_sagemaker.config.partition_keys import partition_folder, partition_key
from airflow_sagemaker.links import LINKS
from airflow_sagemaker.pages import EXTERNAL_VIEWS, FASTAPI_APPS


class AirflowSageMakerPlugin(AirflowPlugin):
    """Links of operator and sensor; the pages Training report and Partition history; macros for partition keys."""

    name = "airflow_sagemaker"
    operator_extra_links: list[Any] = list(LINKS)  # noqa: RUF012 - Airflow's own convention
    macros: list[Any] = [partition_folder, partition_key]  # noqa: RUF012
    """In templates `macros.airflow_sagemaker.partition_folder(dag_run.partition_key)`."""
    fastapi_apps: list[Any] = FASTAPI_APPS
    external_views: list[Any] = EXTERNAL_VIEWS
