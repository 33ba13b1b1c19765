"""Decides and stores an execution's next steps in one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection

from local_sagemaker.definition import Definition, Step
from local_sagemaker.engine import retry
from local_sagemaker.engine.execution_values import StoredValues
from local_sagemaker.expressions.values import UnresolvedError
from local_sagemaker.identifiers import now
from local_sagemaker.jobs.spec import JobSpec
from local_sagemaker.json_text import dumps
from local_sagemaker.requests.checks import RequestChecks
from local_sagemaker.steps.step_run import StepRun
from local_sagemaker.steps.step_types import STEP_TYPES
from local_sagemaker.store import jobs as job_records
from local_sagemaker.types import JsonObject, SqlValue

_LIVE = ("Starting", "Executing", "Stopping")
_ENDS = {
    "Failed": frozenset({"Failed"}),
    "Stopped": frozenset({"Stopped"}),
    "Any": frozenset({"Succeeded", "Failed", "Stopped"}),
}
"""The statuses that satisfy each Trigger."""
_FAILED = "Step failure: One or multiple steps failed."


class Advance:
    """Advances an execution as far as possible, and collects what must be done after the commit."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        execution: sqlite3.Row,
        definition: Definition,
        checks: RequestChecks,
    ) -> None:
        self._connection = connection
        self._execution = execution
        self._definition = definition
        self._checks = checks
        self._steps: dict[str, sqlite3.Row] = {}
        self.submit: list[JobSpec] = []
        """Jobs to submit after the commit."""
        self.stop: list[str] = []
        """ARNs of jobs to stop after the commit."""
        self.timers: list[float] = []
        """When the execution must be advanced again."""
        self.calls: list[int] = []
        """Rows of steps whose functions must be called after the commit."""
        self.has_messages = False
        """Whether messages must be delivered after the commit."""

    def run(self) -> None:
        """Start all steps that are ready, then end the execution if no step is running."""
        self._load()
        self._end_overdue()
        if self._execution["status"] == "Stopping":
            self._stop_running()
        else:
            self._retry_due()
            while self._start_one():
                pass
        self._finish()

    def _load(self) -> None:
        rows = self._connection.execute("SELECT * FROM steps WHERE execution = ?", (self._execution["arn"],))
        self._steps = {row["name"]: row for row in rows}

    def _read(self, name: str) -> None:
        self._steps[name] = self._connection.execute(
            "SELECT * FROM steps WHERE execution = ? AND name = ?", (self._execution["arn"], name)
        ).fetchone()

    def _set(self, name: str, **values: SqlValue) -> None:
        columns = ", ".join(f"{column} = ?" for column in values)
        self._connection.execute(
            f"UPDATE steps SET {columns} WHERE execution = ? AND name = ?",  # noqa: S608
            (*values.values(), self._execution["arn"], name),
        )
        self._read(name)

    def _end_overdue(self) -> None:
        """End steps that have waited too long."""
        for row in list(self._steps.values()):
            seconds = STEP_TYPES[row["type"]].max_seconds
            if seconds is None or row["status"] not in ("Executing", "Stopping"):
                continue
            if row["started"] + seconds <= now():
                reason = f"ClientError: the step has not ended within {seconds:g} seconds"
                self._set(row["name"], status="Failed", ended=now(), failure_reason=reason)
            else:
                self.timers.append(row["started"] + seconds)

    def _stop_running(self) -> None:
        for row in list(self._steps.values()):
            if row["status"] not in ("Starting", "Executing"):
                continue
            job = self._connection.execute("SELECT * FROM jobs WHERE arn = ? AND live = 1", (row["job"],)).fetchone()
            if row["status"] == "Executing" and row["job"] is None:
                self._set(row["name"], status="Stopping")
                self._with(self._definition.steps[row["name"]], STEP_TYPES[row["type"]].stop)
            elif job is None:
                self._set(row["name"], status="Stopped", ended=now(), not_before=None)
            else:
                job_records.mark_as_stopping(self._connection, job, job_records.KINDS[job["kind"]])
                self._set(row["name"], status="Stopping")
                self.stop.append(job["arn"])

    def _retry_due(self) -> None:
        for row in list(self._steps.values()):
            if row["status"] != "Starting" or row["not_before"] is None:
                continue
            if row["not_before"] <= now():
                self._set(row["name"], not_before=None)
                self._take(self._definition.steps[row["name"]])
            else:
                self.timers.append(row["not_before"])

    def _start_one(self) -> bool:
        """Start the first step that is ready; return whether there was one."""
        is_failing = bool(self._failures(handled=False))
        running = sum(row["status"] in _LIVE for row in self._steps.values())
        limit = self._execution["parallelism"]
        if limit is not None and running >= limit:
            return False
        for step in self._definition.steps.values():
            if step.name in self._steps or (is_failing and not step.triggers):
                continue
            if self._is_ready(step):
                self._start(step)
                return True
        return False

    def _is_ready(self, step: Step) -> bool:
        if any(self._status(name) != "Succeeded" for name in step.needs):
            return False
        if any(self._status(name) not in _ENDS[trigger] for name, trigger in step.triggers.items()):
            return False
        if step.condition is None:
            return True
        if self._status(step.condition) != "Succeeded":
            return False
        return bool(_outcome(self._steps[step.condition]) == step.branch)

    def _failures(self, *, handled: bool) -> list[sqlite3.Row]:
        """The unsuccessful steps: `handled` ones have a step that depends on this status."""
        return [
            row
            for row in self._steps.values()
            if row["status"] in ("Failed", "Stopped")
            and handled
            == any(row["status"] in _ENDS[trigger] for trigger in self._definition.awaited.get(row["name"], ()))
        ]

    def _status(self, name: str) -> str | None:
        row = self._steps.get(name)
        return row["status"] if row is not None else None

    def _start(self, step: Step) -> None:
        self._connection.execute(
            "INSERT INTO steps (execution, name, type, status, started, attempt, metadata, properties)"
            " VALUES (?, ?, ?, 'Starting', ?, 0, '{}', '{}')",
            (self._execution["arn"], step.name, step.type, now()),
        )
        self._read(step.name)
        self._take(step)

    def _take(self, step: Step) -> None:
        """Run a step."""
        self._with(step, STEP_TYPES[step.type].run)

    def _with(self, step: Step, work: Callable[[StepRun], None]) -> None:
        """Call a method of the step's type; the step fails if a value is missing."""
        run = StepRun(self._connection, self._execution, step, self._values(), self._checks)
        try:
            work(run)
        except UnresolvedError as error:
            run.fail(f"ClientError: {error}")
        if run.job is not None:
            self.submit.append(run.job)
        if run.called is not None:
            self.calls.append(run.called)
        self.has_messages |= run.has_sent
        self._read(step.name)

    def _values(self) -> StoredValues:
        name = self._connection.execute(
            "SELECT name FROM pipelines WHERE arn = ?", (self._execution["pipeline"],)
        ).fetchone()["name"]
        return StoredValues(self._execution, name, self._definition, self._steps, self._checks.s3_dir)

    def _ended_since_stop(self) -> list[sqlite3.Row]:
        return [row for row in self._steps.values() if (row["ended"] or 0) >= self._execution["modified"]]

    def _finish(self) -> None:
        """End the execution if none of its steps is running."""
        states = {row["status"] for row in self._steps.values()}
        if states & set(_LIVE):
            return
        reason = None
        if self._execution["status"] == "Stopping":
            # a function that times out fails even a stopping execution (API reference, StopPipelineExecution)
            hung = any(row["type"] == "Lambda" and row["status"] == "Failed" for row in self._ended_since_stop())
            status, reason = ("Failed", _FAILED) if hung else ("Stopped", None)
        elif self._failures(handled=False):
            status, reason = "Failed", _FAILED
        elif self._failures(handled=True):
            status = "CompletedWithFailures"
        else:
            status = "Succeeded"
        self._connection.execute(
            "UPDATE executions SET status = ?, failure_reason = ?, modified = ? WHERE arn = ?",
            (status, reason, now(), self._execution["arn"]),
        )


def _outcome(row: sqlite3.Row) -> bool:
    return bool(json.loads(row["properties"])["Outcome"])


def finish_job(
    connection: sqlite3.Connection,
    execution: sqlite3.Row,
    row: sqlite3.Row,
    step: Step,
    kind: job_records.Kind,
    description: JsonObject,
    *,
    awaited: Collection[str] = (),
) -> None:
    """Update the step of a job that has ended: succeeded, stopped, waiting for the next attempt, or failed.

    `awaited` has the Triggers with which other steps depend on this one.
    """
    if row["status"] not in _LIVE:
        return
    status, moment = description[kind.status_member], now()
    values: dict[str, SqlValue] = {"ended": moment}
    if status == "Completed":
        values |= {"status": "Succeeded", "properties": dumps(description)}
    elif status == "Stopped" and execution["status"] == "Stopping":
        values |= {"status": "Stopped"}
    else:
        reason = _job_reason(kind, status, description)
        seconds = moment - row["started"]
        pause = None
        if execution["status"] == "Executing":
            pause = retry.delay(step.retry_policies, reason, attempts=row["attempt"], running_seconds=seconds)
        if pause is not None:
            values = {"status": "Starting", "not_before": moment + pause, "failure_reason": reason}
        else:
            # a job that was stopped alone fails its step, unless another step depends on Stopped
            ended = "Stopped" if status == "Stopped" and "Stopped" in awaited else "Failed"
            values |= {"status": ended, "failure_reason": _step_reason(reason)}
    columns = ", ".join(f"{column} = ?" for column in values)
    connection.execute(f"UPDATE steps SET {columns} WHERE seq = ?", (*values.values(), row["seq"]))  # noqa: S608


def _step_reason(job_reason: str) -> str:
    """The step's FailureReason: the program's failure is a ClientError (the SDK's test_step_decorator.py)."""
    return f"ClientError: {job_reason}" if job_reason.startswith("AlgorithmError:") else job_reason


def _job_reason(kind: job_records.Kind, status: str, description: JsonObject) -> str:
    if status == "Failed":
        return str(description.get("FailureReason") or f"ClientError: the {kind.key} job failed without a reason")
    secondary = description.get("SecondaryStatus")
    why = f" ({secondary})" if secondary and secondary != status else ""
    return f"ClientError: the {kind.key} job '{description[kind.name_member]}' was stopped{why}"
