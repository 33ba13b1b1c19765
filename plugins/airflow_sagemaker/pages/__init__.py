"""The pages inside Airflow's UI: report and history.

The browser renders them from XComs and Airflow's REST API with the user's session, so they are the same on AWS and on
the local SageMaker, and show users only what Airflow shows them. All Airflow processes that load plugins import this
module, so it imports nothing heavy, and creates the web application at its first request.
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
    """An ASGI application that imports FastAPI and the pages at its first request."""

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
