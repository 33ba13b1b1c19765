"""A client of Airflow's public REST API, for the scripts and the integration tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import httpx

TIMEOUT_SECONDS = 120
"""On a busy machine, the first request to a page can take half a minute."""


class DagRun(TypedDict):
    """The members of a DAG run that are used here."""

    dag_run_id: str
    state: str
    partition_key: str | None


class TaskInstance(TypedDict):
    """The members of a task instance that are used here."""

    task_id: str
    state: str | None
    duration: float | None
    try_number: int


class AirflowClient:
    """Signs in as a user of SimpleAuthManager and calls `/api/v2`; raises for a status of 400 or above."""

    def __init__(self, base_url: str, username: str, password: str) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._login = {"username": username, "password": password}

    def sign_in(self) -> None:
        """Fetch a token (`POST /auth/token`) and send it with every later call."""
        answer = self._http.post("/auth/token", json=self._login)
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def healthy(self, *components: str) -> bool:
        """Whether each component (`scheduler`, `triggerer`, `dag_processor`, `metadatabase`) is healthy."""
        try:
            health = self._http.get("/api/v2/monitor/health").json()
        except (httpx.HTTPError, ValueError):
            return False
        return all((health.get(name) or {}).get("status") == "healthy" for name in components)

    def call(
        self, method: str, path: str, *, json: object = None, params: Mapping[str, str | int | bool] | None = None
    ) -> Any:
        """Call `/api/v2{path}`; return the decoded JSON, or None for an empty response."""
        answer = self._http.request(method, f"/api/v2{path}", json=json, params=params)
        if answer.status_code >= 400:
            raise httpx.HTTPStatusError(
                f"{method} {path}: HTTP {answer.status_code}: {answer.text[:500]}",
                request=answer.request,
                response=answer,
            )
        return answer.json() if answer.content else None

    def get(self, path: str, **params: str | int | bool) -> Any:
        """`GET /api/v2{path}`."""
        return self.call("GET", path, params=params)

    def exists(self, path: str) -> bool:
        """Whether `GET /api/v2{path}` returns 200; False for 404, and raises for other statuses."""
        try:
            self.get(path)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == 404:
                return False
            raise
        return True

    def trigger(self, dag_id: str, *, partition: str | None = None, conf: Mapping[str, object] | None = None) -> DagRun:
        """Trigger a run, optionally for a `partition`; return the API's description of the run."""
        body: dict[str, object] = {"logical_date": None, "conf": conf or {}}
        if partition is not None:
            body["partition_key"] = partition
        run: DagRun = self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)
        return run

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """The DAG run."""
        run: DagRun = self.get(f"/dags/{dag_id}/dagRuns/{run_id}")
        return run

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """The task instances of a run."""
        found: list[TaskInstance] = self.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """The value of an XCom entry, as native JSON."""
        return self.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}")["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """The log of a task's try, one line per event."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.get(path, full_content=True)["content"]
        return "\n".join(_log_line(event) for event in content)


def _log_line(event: object) -> str:
    if not isinstance(event, dict):
        return str(event)
    text = str(event.get("event", ""))
    details = event.get("error_detail") or []
    return text + "".join(f"\n  {d.get('exc_type')}: {d.get('exc_value')}" for d in details if isinstance(d, dict))
