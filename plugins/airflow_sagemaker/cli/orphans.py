"""Executions that run and cost money though no task run lives that would ever look at them.

What cannot be caught while it happens (a worker killed with no retries left, a sensor in reschedule mode marked failed
between two pokes, a cleared sensor's predecessor) is found afterwards: every execution names its task run in its
description, and Airflow's REST API says what has become of that. Two Airflows may share an account and the names of
DAGs, runs and pipelines: an execution is the asked Airflow's only when the task run's own record there names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_sagemaker.aws.executions import Status
from airflow_sagemaker.aws.live_executions import LONGEST_EXECUTION
from airflow_sagemaker.exceptions import ConfigurationError, ExecutionError, RecordUnreadable
from airflow_sagemaker.start.record import KEY, ExecutionRecord, TaskRun
from airflow_sagemaker.start.record_on_s3 import PREFIX, RecordOnS3
from airflow_sagemaker.types import JsonObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.executions import Execution, Executions
    from airflow_sagemaker.cli.airflow_api import AirflowApi

OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""Task states after which a task looks at nothing any more; any other, known or not, is taken as alive."""
RUN_ALIVE = frozenset({"queued", "running"})


@dataclass(frozen=True)
class Orphan:
    """A live execution and why nobody waits for it.

    `known` is False when the asked Airflow has no such task run, or one that did not start it: the run was deleted, or
    another Airflow's started it. `unread` means that Airflow could not be asked about it: it is left alone.
    """

    execution: Execution
    reason: str
    known: bool = True
    unread: bool = False

    @property
    def stopping(self) -> bool:
        """Whether somebody has stopped it already."""
        return self.execution.status == Status.STOPPING

    def as_dict(self) -> JsonObject:
        """JSON for the command line."""
        return {
            "execution_arn": self.execution.arn,
            "display_name": self.execution.display_name,
            "status": self.execution.status,
            "reason": self.reason,
            "known": self.known,
            "unread": self.unread,
            **self.execution.owner,
        }


@dataclass(frozen=True)
class RecordsOnS3:
    """Where an Airflow without a task state store (before 3.3) keeps its records.

    `base_url` is that Airflow's `[api] base_url`, which its records name.
    """

    aws: Aws
    bucket: str
    base_url: str
    prefix: str = PREFIX

    def load(self, run: TaskRun) -> ExecutionRecord | None:
        """The task run's record; None without one. Raises ExecutionError for one that says nothing."""
        store = RecordOnS3(self.aws, self.bucket, run, owner=self.base_url, prefix=self.prefix)
        try:
            return store.load()
        except RecordUnreadable as error:
            raise ExecutionError(str(error)) from error
        except ConfigurationError as error:
            hint = f"--base-url is {self.base_url}; it must be the [api] base_url of this Airflow"
            raise ExecutionError(f"{' '.join(str(error).split())} ({hint})") from error


def find_orphans(
    executions: Executions,
    airflow: AirflowApi,
    pipelines: list[str] | None = None,
    on_s3: RecordsOnS3 | None = None,
) -> Iterator[Orphan]:
    """Look at the live executions of these pipelines (all of the account's by default), newest first.

    Executions that no task run started (by hand, by other tools) are none of ours and never reported. Who waits is
    known by the task run's record and the execution's id alone: an XCom may be a reference into a store of its own.
    """
    airflow.check()
    since = datetime.now(UTC) - LONGEST_EXECUTION
    for pipeline in pipelines if pipelines is not None else _all_pipelines(executions):
        for execution in executions.live(pipeline, created_after=since):
            if not execution.owner.get("task_id"):
                continue
            try:
                orphan = _orphan_or_none(airflow, execution, on_s3)
            except ExecutionError as error:
                orphan = Orphan(execution, f"not stopped, because its task run could not be read: {error}", unread=True)
            if orphan is not None:
                yield orphan


def _all_pipelines(executions: Executions) -> Iterator[str]:
    for page in executions.aws.pages("sagemaker", "list_pipelines", MaxResults=100):
        yield from (summary["PipelineName"] for summary in page.get("PipelineSummaries", []))


def _orphan_or_none(  # noqa: PLR0911 - one return per case
    airflow: AirflowApi, execution: Execution, on_s3: RecordsOnS3 | None
) -> Orphan | None:
    """None when somebody still waits, or will. Raises ExecutionError when Airflow cannot be asked about it."""
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
    record = _read_record(airflow, task_path, TaskRun(owner["dag_id"], owner["run_id"], owner["task_id"], index), on_s3)
    if record is None or not record.asked_for(execution):
        return Orphan(execution, "this Airflow has its task run, but did not start the execution", known=False)
    if not record.is_current(execution):
        return Orphan(execution, f"its task has since started another execution: {record.arn or record.display_name}")
    if task["state"] != "success":
        return Orphan(execution, f"its task is {task['state']}")
    # A start task that succeeded handed its execution to a sensor: who waits is the rest of the run.
    if run["state"] in RUN_ALIVE:
        return None
    return Orphan(execution, f"its task succeeded and its DAG run is {run['state']}")


def _read_record(
    airflow: AirflowApi, task_path: str, run: TaskRun, on_s3: RecordsOnS3 | None
) -> ExecutionRecord | None:
    """The task run's record, written before each start; None without one. Raises ExecutionError for what is no record.

    A state store backend may keep its values elsewhere: what the API then gives is no record, and says nothing.
    """
    store, mapped = f"{task_path}/state-store", f"?map_index={run.map_index}" if run.map_index >= 0 else ""
    stored = airflow.get(f"{store}/{KEY}{mapped}")
    if stored is not None:
        try:
            return ExecutionRecord.from_json(stored.get("value"))
        except RecordUnreadable as error:
            raise ExecutionError(str(error)) from error
    if on_s3 is not None:
        return on_s3.load(run)
    if airflow.get(f"{store}{mapped}") is None:
        raise ExecutionError(
            "this Airflow has no task state store, so its records are on S3: give their bucket with --record-bucket"
        )
    return None
