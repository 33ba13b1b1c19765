"""Executions that run and cost money though no task run lives that would ever look at them.

What cannot be caught while it happens (a worker killed with no retries left, a sensor in reschedule mode marked failed
between two pokes, a cleared sensor's predecessor) is found afterwards: every execution names its task run in its
description, and Airflow's REST API says what has become of that. Two Airflows may share an account and the names of
DAGs, runs and pipelines: an execution is the asked Airflow's only when the task run's own record there names it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from airflow_sagemaker.aws.executions import Status
from airflow_sagemaker.aws.live_executions import LONGEST_EXECUTION
from airflow_sagemaker.exceptions import ExecutionError
from airflow_sagemaker.start.record import KEY, ExecutionRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sagemaker.aws.executions import Execution, Executions

OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""Task states after which a task looks at nothing any more; any other, known or not, is taken as alive."""
PAGES = "/sagemaker-training"
"""Where the pages lie below Airflow's address (`pages.URL_PREFIX`; a test compares them)."""
RUN_ALIVE = frozenset({"queued", "running"})


@dataclass(frozen=True)
class Orphan:
    """A live execution and why nobody waits for it.

    `known` is False when the asked Airflow has no such task run, or one that did not start it: the run was deleted, or
    another Airflow's started it.
    """

    execution: Execution
    reason: str
    known: bool = True

    @property
    def stopping(self) -> bool:
        """Whether somebody has stopped it already."""
        return self.execution.status == Status.STOPPING

    def as_dict(self) -> dict[str, Any]:
        """JSON for the command line."""
        return {
            "execution_arn": self.execution.arn,
            "display_name": self.execution.display_name,
            "status": self.execution.status,
            "reason": self.reason,
            "known": self.known,
            **self.execution.owner,
        }


@dataclass(frozen=True)
class AirflowApi:
    """Airflow's public REST API; `token` as from POST /auth/token. What goes wrong is an ExecutionError."""

    url: str
    token: str

    def get(self, path: str) -> Any:
        """The decoded answer, or None when there is no such thing."""
        return _answer(self.url, f"/api/v2{path}", {"Authorization": f"Bearer {self.token}"})

    def page_data(self, path: str) -> Any:
        """The decoded answer of this package's own pages in that Airflow, or None when they are not there."""
        return _answer(self.url, f"{PAGES}{path}", {"Authorization": f"Bearer {self.token}"})

    def check(self) -> None:
        """Raise ExecutionError unless an Airflow 3 answers there: else every task run would seem to be gone."""
        version = self.get("/version")
        if not isinstance(version, dict) or "version" not in version:
            raise ExecutionError(f"no Airflow 3 answers at {self.url}: give the address that its UI has")

    @classmethod
    def signed_in(cls, url: str, username: str, password: str) -> AirflowApi:
        """Fetch a token."""
        body = json.dumps({"username": username, "password": password}).encode()
        answer = _answer(url, "/auth/token", {"Content-Type": "application/json"}, body)
        if not isinstance(answer, dict) or "access_token" not in answer:
            raise ExecutionError(f"Airflow at {url} gives no token for a name and a password: use --token")
        return cls(url, str(answer["access_token"]))


class _SameHost(HTTPRedirectHandler):
    """Follows a redirect within one host: urllib sends the token along, which is for no other host."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        """None, which makes it an error, for a redirect that leads away."""
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if before.hostname != after.hostname or (before.scheme, after.scheme) == ("https", "http"):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _answer(url: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Any:
    """The decoded answer, None for 404."""
    try:
        request = Request(f"{url.rstrip('/')}{path}", data=body, headers=headers)  # noqa: S310 - the user's own address
        with build_opener(_SameHost).open(request, timeout=30) as reply:
            return json.load(reply)
    except HTTPError as error:
        if error.code == 404:
            return None
        hints = {401: "name, password or token are wrong, or the token has expired", 403: "this user may not read that"}
        away = f"it leads to {error.headers.get('Location')}: give Airflow's own address"
        hint = away if 300 <= error.code < 400 else hints.get(error.code, "see the API server's log")
        raise ExecutionError(f"Airflow at {url} answered {error.code} {error.reason} ({hint})") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ExecutionError(f"Airflow at {url} cannot be reached: {reason} (is --airflow-url right?)") from error
    except ValueError:  # no URL, or no JSON; its text may hold the token
        hint = "give the address that its UI has, with http:// or https://"
        raise ExecutionError(f"{url} is not the address of an Airflow: {hint}") from None


def find_orphans(executions: Executions, airflow: AirflowApi, pipelines: list[str] | None = None) -> Iterator[Orphan]:
    """Look at the live executions of these pipelines (all of the account's by default), newest first.

    Executions that no task run started (by hand, by other tools) are none of ours and never reported.
    """
    airflow.check()
    since = datetime.now(UTC) - LONGEST_EXECUTION
    for pipeline in pipelines if pipelines is not None else _pipelines(executions):
        for execution in executions.live(pipeline, created_after=since):
            orphan = _orphan(airflow, execution) if execution.owner.get("task_id") else None
            if orphan is not None:
                yield orphan


def _pipelines(executions: Executions) -> Iterator[str]:
    token: dict[str, str] = {}
    while True:
        page = executions.aws.call("sagemaker", "list_pipelines", MaxResults=100, **token)
        yield from (summary["PipelineName"] for summary in page.get("PipelineSummaries", []))
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _orphan(airflow: AirflowApi, execution: Execution) -> Orphan | None:
    """None when somebody still waits, or will."""
    owner = execution.owner
    run_path = f"/dags/{quote(owner['dag_id'], safe='')}/dagRuns/{quote(owner['run_id'], safe='')}"
    task_path = f"{run_path}/taskInstances/{quote(owner['task_id'], safe='')}"
    index = int(owner.get("map_index", -1))
    run = airflow.get(run_path)
    if run is None:
        return Orphan(execution, "this Airflow has no such DAG run", known=False)
    task = airflow.get(task_path if index < 0 else f"{task_path}/{index}")
    if task is None:
        return Orphan(execution, "its DAG run has no such task", known=False)
    if task["state"] not in OVER:
        return None
    mapped = f"?map_index={index}" if index >= 0 else ""
    if task["state"] == "success":
        # A start task that succeeded handed its execution to a sensor: who waits is the rest of the run.
        reason = _left_by_success(execution, run, airflow.get(f"{task_path}/xcomEntries/return_value{mapped}"))
    else:
        reason = f"its task is {task['state']}"
    if not reason:
        return None
    if not _named(execution, airflow.get(f"{task_path}/state-store/{KEY}{mapped}")):
        return Orphan(execution, "this Airflow has its task run, and did not start it", known=False)
    return Orphan(execution, reason)


def _left_by_success(execution: Execution, run: dict[str, Any], returned: dict[str, Any] | None) -> str:
    if returned is not None and returned.get("value") != execution.arn:
        return f"its task has started another one since: {returned.get('value')}"
    return "" if run["state"] in RUN_ALIVE else f"its task succeeded and its DAG run is {run['state']}"


def _named(execution: Execution, stored: dict[str, Any] | None) -> bool:
    """Whether the task run's record, written before each start, names the execution; not one that nobody can read."""
    try:
        record = ExecutionRecord.from_json(stored and stored.get("value"))
    except ValueError:
        return False
    return record is not None and record.asked_for(execution)
