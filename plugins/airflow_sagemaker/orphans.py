"""Executions that run and cost money though no task run lives that would ever look at them.

What cannot be caught while it happens (a worker killed with no retries left, a sensor in reschedule mode marked failed
between two pokes, a cleared sensor's predecessor) is found afterwards: every execution names its task run in its
description, and Airflow's REST API says what has become of that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from airflow_sagemaker.settled import LONGEST_EXECUTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sagemaker.execution import Execution, Executions

ALIVE = frozenset(
    {None, "none", "scheduled", "queued", "running", "restarting", "up_for_retry", "up_for_reschedule", "deferred"}
)
"""Task states after which the task will still look at its execution."""
RUN_ALIVE = frozenset({"queued", "running"})


@dataclass(frozen=True)
class Orphan:
    """A live execution and why nobody waits for it."""

    execution: Execution
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """JSON for the command line."""
        return {
            "execution_arn": self.execution.arn,
            "display_name": self.execution.display_name,
            "status": self.execution.status,
            "reason": self.reason,
            **self.execution.owner,
        }


@dataclass(frozen=True)
class AirflowApi:
    """Airflow's public REST API; `token` as from POST /auth/token."""

    url: str
    token: str

    def get(self, path: str) -> Any:
        """The decoded answer, or None when there is no such thing; other errors raise OSError."""
        request = Request(  # noqa: S310 - the address is the operator's own
            f"{self.url.rstrip('/')}/api/v2{path}", headers={"Authorization": f"Bearer {self.token}"}
        )
        try:
            with urlopen(request, timeout=30) as reply:  # noqa: S310
                return json.load(reply)
        except HTTPError as error:
            if error.code == 404:
                return None
            raise

    @classmethod
    def signed_in(cls, url: str, username: str, password: str) -> AirflowApi:
        """Fetch a token."""
        body = json.dumps({"username": username, "password": password}).encode()
        request = Request(  # noqa: S310
            f"{url.rstrip('/')}/auth/token", data=body, headers={"Content-Type": "application/json"}
        )
        with urlopen(request, timeout=30) as reply:  # noqa: S310
            return cls(url, str(json.load(reply)["access_token"]))


def find_orphans(executions: Executions, airflow: AirflowApi, pipelines: list[str] | None = None) -> Iterator[Orphan]:
    """Look at the live executions of these pipelines (all of the account's by default), newest first.

    Executions that no task run started (by hand, by other tools) are none of ours and never reported.
    """
    since = datetime.now(UTC) - LONGEST_EXECUTION
    for pipeline in pipelines if pipelines is not None else _pipelines(executions):
        for execution in executions.live(pipeline, created_after=since):
            if execution.owner and execution.owner.get("task_id"):
                reason = _why_orphaned(airflow, execution)
                if reason:
                    yield Orphan(execution, reason)


def _pipelines(executions: Executions) -> Iterator[str]:
    token: dict[str, str] = {}
    while True:
        page = executions.aws.call("sagemaker", "list_pipelines", MaxResults=100, **token)
        yield from (summary["PipelineName"] for summary in page.get("PipelineSummaries", []))
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _why_orphaned(airflow: AirflowApi, execution: Execution) -> str:
    """The reason, or empty when somebody still waits (or will)."""
    owner = execution.owner
    run_path = f"/dags/{quote(owner['dag_id'])}/dagRuns/{quote(owner['run_id'])}"
    task_path = f"{run_path}/taskInstances/{quote(owner['task_id'])}"
    index = int(owner.get("map_index", -1))
    run = airflow.get(run_path)
    if run is None:
        return "its DAG run is gone"
    task = airflow.get(task_path if index < 0 else f"{task_path}/{index}")
    if task is None:
        return "its task is gone from the DAG run"
    if task["state"] in ALIVE:
        return ""
    if task["state"] != "success":
        return f"its task is {task['state']}"
    # A start task that succeeded handed its execution to a sensor: who waits is the rest of the run.
    returned = airflow.get(f"{task_path}/xcomEntries/return_value" + (f"?map_index={index}" if index >= 0 else ""))
    if returned is not None and returned.get("value") != execution.arn:
        return f"its task has started another one since: {returned.get('value')}"
    return "" if run["state"] in RUN_ALIVE else f"its task succeeded and its DAG run is {run['state']}"
