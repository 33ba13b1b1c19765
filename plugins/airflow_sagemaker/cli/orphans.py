"""Running executions that cost money although no task waits for them.

They cannot always be prevented (a worker killed without retries left, a sensor in reschedule mode marked failed between
two pokes), but found later: each execution's description contains its task run, whose state is in Airflow's REST API.
Several Airflows may share an account and the names of DAGs, runs and pipelines, so an execution belongs to an Airflow
only if the task run's record there contains it.
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
"""Final states of tasks; a task in any other state, even an unknown one, may still wait."""
RUN_ALIVE = frozenset({"queued", "running"})


@dataclass(frozen=True)
class Orphan:
    """A live execution, and why no task waits for it.

    `known` is False if this Airflow has no such task run, or one that did not start it: the run was deleted, or another
    Airflow started it. `unread`: the task run's state could not be read, so the execution is not stopped.
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
    """The records of an Airflow without a task state store (before 3.3).

    `base_url` is that Airflow's `[api] base_url`, which its records contain.
    """

    aws: Aws
    bucket: str
    base_url: str
    prefix: str = PREFIX

    def load(self, run: TaskRun) -> ExecutionRecord | None:
        """Return the task run's record, None without one. Raises ExecutionError for one that cannot be used."""
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
    """Yield the orphans among the live executions of these pipelines (default: all of the account's), newest first.

    Executions that no task run started (manually, or by other tools) are never reported. Only the task run's record
    determines who waits, because an XCom may be a reference to an XCom backend.
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
    """Return None if a task waits, or will wait. Raises ExecutionError if Airflow cannot be reached."""
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
    # After a successful start task, the other tasks of the run wait.
    if run["state"] in RUN_ALIVE:
        return None
    return Orphan(execution, f"its task succeeded and its DAG run is {run['state']}")


def _read_record(
    airflow: AirflowApi, task_path: str, run: TaskRun, on_s3: RecordsOnS3 | None
) -> ExecutionRecord | None:
    """Return the task run's record, None without one. Raises ExecutionError if the value is not a record.

    A state store backend may keep its values elsewhere; the API then returns a reference instead of a record.
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
            "this Airflow has no task state store, so its records are on S3: set their bucket with --record-bucket"
        )
    return None
