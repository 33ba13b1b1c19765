"""The web application behind the pages: HTML shells, static files, the history, and (opt-in) live figures.

Airflow mounts a plugin's application without authorisation, so all routes, including static files, check it with
Airflow's auth manager: 401 without a session, 403 without permission to read the DAG's XComs, and its runs or task logs
if the response contains them. All routes are GET and change nothing.
"""

from __future__ import annotations

import html
import json
import logging
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_sagemaker.aws.faults import explain_error
from airflow_sagemaker.pages import assets, history, live
from airflow_sagemaker.pages.options import live_figures, page_options
from airflow_sagemaker.types import JsonObject

# The guard reads `dag_id` from the path or the query under exactly this name; without one it asks whether the user may
# read any DAG's XComs at all.
READS_XCOM = Depends(requires_access_dag("GET", DagAccessEntity.XCOM))
READS_RUNS = Depends(requires_access_dag("GET", DagAccessEntity.RUN))
READS_LOGS = Depends(requires_access_dag("GET", DagAccessEntity.TASK_LOGS))
log = logging.getLogger(__name__)
FOR_EVER = "private, max-age=31536000, immutable"

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
        "base-uri 'none'",
    ]
)
REASONS = {
    401: "You are signed out. Sign in to Airflow and open this page again.",
    403: "You don't have permission to read this DAG's runs and XComs. Ask your Airflow administrator for access.",
}
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_app() -> FastAPI:
    """Return the application, without FastAPI's documentation pages, which would need no authorisation."""
    app = FastAPI(title="SageMaker training", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_middleware(SecurityHeaders)
    app.exception_handler(HTTPException)(_refuse_in_words)
    _add_pages(app)
    _add_data(app)
    if live_figures():
        _add_live_figures(app)
    return app


def _add_pages(app: FastAPI) -> None:
    @app.get("/report", dependencies=[READS_XCOM], response_class=HTMLResponse)
    def report(dag_id: str, run_id: str) -> HTMLResponse:
        """Return the HTML of the training report; its script reads the same query."""
        return _html_shell("report")

    @app.get("/history", dependencies=[READS_XCOM], response_class=HTMLResponse)
    def partition_history() -> HTMLResponse:
        """Return the HTML of the partition history."""
        return _html_shell("history")

    @app.get("/static/{digest}/{path:path}")
    def static(path: str, user: GetUserDep) -> Response:
        """Return a static file to signed-in users; the digest is only the version for browsers' caches."""
        asset = assets.load_assets().files.get(path)
        if asset is None:
            raise HTTPException(404, "No such file")
        return Response(asset.content, media_type=asset.media_type, headers={"Cache-Control": FOR_EVER})


def _add_data(app: FastAPI) -> None:
    @app.get("/data/dags", dependencies=[READS_XCOM])
    def dags(session: SessionDep, user: GetUserDep) -> list[JsonObject]:
        """Return the DAGs with trainings that the user may read."""
        readable = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
        return history.training_dags(session, readable)

    @app.get("/data/history", dependencies=[READS_XCOM, READS_RUNS])
    def runs(
        dag_id: str,
        session: SessionDep,
        limit: Annotated[int, Query(ge=1, le=history.MOST_RUNS)] = 800,
        before: str | None = None,
    ) -> list[JsonObject]:
        """Return a DAG's runs with the results of their trainings, newest first."""
        return history.partition_runs(session, dag_id, limit=limit, before=before)

    @app.get("/data/watch", dependencies=[READS_XCOM, READS_RUNS])
    def watch(
        dag_id: str,
        metric: str,
        session: SessionDep,
        training: str = "",
        limit: Annotated[int, Query(ge=1, le=history.MOST_RUNS)] = 800,
        before: str | None = None,
    ) -> JsonObject:
        """Return lasting changes of a metric for the worse, and single unusual partitions."""
        runs = history.partition_runs(session, dag_id, limit=limit, before=before)
        return history.watch_metric(runs, training, metric)


def _add_live_figures(app: FastAPI) -> None:
    trainings = live.LiveTrainings()

    @app.get("/data/execution", dependencies=[READS_XCOM, READS_LOGS])
    def execution(dag_id: str, run_id: str, task_id: str, session: SessionDep, map_index: int = -1) -> JsonObject:
        """Return the current status of a training's execution on AWS."""
        details = live.started_by(session, dag_id, run_id, task_id, map_index)
        if details is None:
            raise HTTPException(404, "No training was started by this task")
        try:
            return live.execution_state(details)
        except Exception as error:
            raise HTTPException(502, explain_error(error, "Asking AWS")) from error

    @app.get("/data/live", dependencies=[READS_XCOM, READS_LOGS])
    def lines(dag_id: str, run_id: str, task_id: str, session: SessionDep, map_index: int = -1) -> list[str]:
        """Return log lines about steps and metrics of a running training, read from AWS."""
        details = live.started_by(session, dag_id, run_id, task_id, map_index)
        if details is None:
            raise HTTPException(404, "No training was started by this task")
        try:
            return trainings.of(details["execution_arn"], live.target_of(details)).lines()
        except Exception as error:  # any error of connection or AWS: the report then uses the task's log
            log.warning("Live figures of %s: %s", details["execution_arn"], error)
            raise HTTPException(502, explain_error(error, "Asking AWS")) from error


def _html_shell(name: str) -> HTMLResponse:
    return HTMLResponse(_filled_page(name, options=json.dumps(page_options())), headers={"Cache-Control": "no-store"})


def _filled_page(name: str, **texts: str) -> str:
    """Return an HTML file of static/ with the digest and `texts` filled in."""
    loaded = assets.load_assets()
    page = loaded.pages[name]
    for place, text in {"digest": loaded.digest, **texts}.items():
        page = page.replace(f"{{{{{place}}}}}", html.escape(text, quote=True))
    return page


async def _refuse_in_words(request: Request, error: HTTPException) -> Response:
    """Return an error as a page to browsers; data routes respond in JSON, as FastAPI does."""
    reason = REASONS.get(error.status_code)
    if reason is None or "text/html" not in request.headers.get("accept", ""):
        return await http_exception_handler(request, error)
    return HTMLResponse(_filled_page("refused", reason=reason), error.status_code, headers=error.headers)


class SecurityHeaders:
    """ASGI middleware that adds the content security policy to all responses, including errors."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self.app(scope, receive, send_with_headers)
