"""Pages inside Airflow's own UI, report and history; the one room that reads Airflow's tables, and imports no command.

Everything is drawn in the browser from Airflow's REST API and from XCom, with the reader's own session, so it works
the same on AWS and on the local SageMaker and shows nobody more than Airflow itself does. Every Airflow process that
loads plugins imports this module: it imports nothing heavy, and the web application is built at its first request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sagemaker.contract import PAGES_URL_PREFIX
from airflow_sagemaker.types import JsonObject

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

URL_PREFIX = PAGES_URL_PREFIX
_BASE = URL_PREFIX.removeprefix("/")  # links to plugin pages are relative to Airflow's base URL


class LazyApp:
    """An ASGI application that imports FastAPI and the pages when the first request arrives."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if self._app is None:
            from airflow_sagemaker.pages.app import create_app

            self._app = create_app()
        await self._app(scope, receive, send)


FASTAPI_APPS: list[JsonObject] = [{"name": "SageMaker training", "app": LazyApp(), "url_prefix": URL_PREFIX}]

EXTERNAL_VIEWS: list[JsonObject] = [
    {
        "name": "Training report",
        "destination": "task_instance",
        "url_route": "training_report_task",
        "href": f"{_BASE}/report?dag_id={{DAG_ID}}&run_id={{RUN_ID}}&task_id={{TASK_ID}}&map_index={{MAP_INDEX}}",
    },
    {
        "name": "Training report",
        "destination": "dag_run",
        "url_route": "training_report",
        "href": f"{_BASE}/report?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
    },
    {
        "name": "Partition history",
        "destination": "dag",
        "url_route": "partition_history_dag",
        "href": f"{_BASE}/history?dag_id={{DAG_ID}}&tab=dag",
    },
    {
        "name": "Partition history",
        "destination": "nav",
        "category": "browse",
        "url_route": "partition_history",
        "href": f"{_BASE}/history",
    },
]
