"""The engine's thread: wakes on changes and timers, and advances one execution at a time."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from local_sagemaker.definition import Definition, parse
from local_sagemaker.engine.advance import Advance, finish_job
from local_sagemaker.engine.invocations import FunctionCaller, Invocations
from local_sagemaker.engine.outbox import Outbox
from local_sagemaker.engine.tunings import Tunings
from local_sagemaker.engine.wake_queue import WakeQueue
from local_sagemaker.errors import ValidationException
from local_sagemaker.expressions.problem import Problem
from local_sagemaker.identifiers import in_region, now, region_of
from local_sagemaker.jobs.spec import JobSpec
from local_sagemaker.jobs.supervisor import UnknownJob
from local_sagemaker.requests.checks import RequestChecks
from local_sagemaker.requests.instances import NO_CAPACITY
from local_sagemaker.store import jobs as job_records
from local_sagemaker.store import tunings
from local_sagemaker.store.database import Database
from local_sagemaker.types import JsonObject

log = logging.getLogger(__name__)

_PARSED = 64
_DISK_SECONDS = 2.0
"""Between attempts to write to a full disk."""
_LEFT_JOBS = """
SELECT jobs.*, jobs.status = 'Stopping' OR coalesce(executions.status, '') = 'Stopping' AS stopping,
    coalesce(steps.execution, jobs.tuning) AS owner
FROM jobs LEFT JOIN steps ON steps.job = jobs.arn LEFT JOIN executions ON executions.arn = steps.execution
WHERE jobs.live = 1 AND jobs.kind <> 'tuning' ORDER BY jobs.seq
"""


class Jobs(Protocol):
    """The job supervisor."""

    def submit(self, spec: JobSpec) -> None:
        """Queue a job."""

    def stop(self, arn: str) -> None:
        """End a job."""

    def interrupt(self, arn: str) -> None:
        """Interrupt a spot job."""


class Engine:
    """Decides what runs next. Each decision is committed before it takes effect."""

    def __init__(
        self, db: Database, data_dir: Path, checks: RequestChecks, outbox: Outbox, functions: FunctionCaller
    ) -> None:
        self._db = db
        self._data_dir = data_dir
        self._checks = checks
        self._outbox = outbox
        self._invocations = Invocations(db, functions, self.definition, self.wake)
        self._tunings = Tunings(db, checks.capacity, self)
        self._jobs: Jobs | None = None
        self._queue = WakeQueue()
        self._parsed: OrderedDict[tuple[str, int, float], Definition] = OrderedDict()
        self._parsed_lock = threading.Lock()
        # a stop must not happen between a job's commit and its submission
        self._hand_over = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self, jobs: Jobs) -> None:
        """Continue the work of an earlier server, then run."""
        self._jobs = jobs
        self._recover()
        self._invocations.recover()
        self._tunings.start()
        self._outbox.start()
        self._thread.start()

    def shutdown(self) -> None:
        """Stop deciding and delivering. The supervisor ends the jobs."""
        self._outbox.shutdown()
        self._invocations.shutdown()
        self._tunings.shutdown()
        self._queue.close()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def wake(self, execution: str) -> None:
        """Advance an execution soon."""
        self._queue.wake(execution)

    def submit(self, spec: JobSpec) -> None:
        """Submit a committed job to the supervisor, or a tuning job to its thread."""
        if spec.kind == "tuning":
            self._tunings.wake(spec.arn)
            return
        with self._hand_over:
            if self._queue.is_closed:
                return  # it stays queued in the database until the next start
            row = self._db.read().execute("SELECT * FROM jobs WHERE arn = ?", (spec.arn,)).fetchone()
            if row is None or not row["live"]:
                return
            if row["status"] == "Stopping":
                self._end(row, "Stopped", "Training job stopped")
                return
            if not self._checks.capacity.can_run(spec.kind, spec.request):
                self._end(row, "Failed", NO_CAPACITY)
                return
            try:
                self._supervisor().submit(spec)
            except Exception as error:
                # a job that does not run must not be live in the database
                log.exception("job %s cannot be submitted", spec.arn)
                self._end(row, "Failed", f"InternalServerError: the job could not be queued: {error}")

    def stop_job(self, arn: str) -> None:
        """Stop a job whose stored status is Stopping."""
        if job_records.is_tuning(arn):
            self._tunings.wake(arn)
            return
        with self._hand_over:
            try:
                self._supervisor().stop(arn)
            except UnknownJob:
                # it has just ended, or has not been submitted yet
                row = self._db.read().execute("SELECT * FROM jobs WHERE arn = ?", (arn,)).fetchone()
                if row is not None and row["live"] and not row["begun"]:
                    self._end(row, "Stopped", "Training job stopped")

    def interrupt_job(self, arn: str) -> str | None:
        """Simulate a spot interruption; return the reason if it is not possible."""
        try:
            self._supervisor().interrupt(arn)
        except UnknownJob:
            return "it is not running"
        except ValueError as error:
            return str(error)
        return None

    def _end(self, row: sqlite3.Row, status: str, message: str) -> None:
        self._apply(row["arn"], job_records.ending_changes(row, status, message))

    def _supervisor(self) -> Jobs:
        if self._jobs is None:
            raise RuntimeError("the engine has not been started")
        return self._jobs

    def definition(self, connection: sqlite3.Connection, pipeline: str, version: int) -> Definition:
        """The parsed definition of a version; the last few are cached."""
        row = connection.execute(
            "SELECT created, definition FROM versions WHERE pipeline = ? AND version = ?", (pipeline, version)
        ).fetchone()
        # a pipeline that was deleted and created again restarts at version 1, so the key includes the time
        return self._cached((pipeline, version, row["created"]), row["definition"])

    def _cached(self, key: tuple[str, int, float], text: str) -> Definition:
        with self._parsed_lock:
            found = self._parsed.get(key)
            if found is not None:
                self._parsed.move_to_end(key)
                return found
        try:
            found = parse(text)
        except Problem as problem:  # stored by an earlier version that accepted more
            raise ValidationException(f"The stored definition of {key[0]} is no longer accepted: {problem}") from None
        with self._parsed_lock:
            self._parsed[key] = found
            while len(self._parsed) > _PARSED:
                self._parsed.popitem(last=False)
        return found

    def changed(self, arn: str, changes: Mapping[str, object]) -> None:
        """Store the supervisor's report about a job; committed when this returns."""
        if self._queue.is_closed:
            # jobs that end because the server shuts down are handled at the next start
            return
        while True:
            try:
                self._apply(arn, changes)
                return
            except sqlite3.OperationalError:
                # the disk is full: a job's end must not be lost, so retry until it is stored
                log.exception("the state of %s could not be written; retrying", arn)
                if self._queue.wait_closed(_DISK_SECONDS):
                    return

    def _apply(self, arn: str, changes: Mapping[str, object]) -> None:
        """Store a job's changes; if the job has ended, wake the execution or tuning job that created it."""
        execution = None
        with self._db.write() as connection:
            row = connection.execute("SELECT * FROM jobs WHERE arn = ?", (arn,)).fetchone()
            ended = job_records.apply_changes(connection, row, changes) if row is not None else None
            if ended is None:
                return
            if row["tuning"] is not None:
                tunings.write_objective(connection, row, ended)
            step = connection.execute("SELECT * FROM steps WHERE job = ?", (arn,)).fetchone()
            if step is not None:
                execution = self._finish_step(connection, step, row, ended)
        if row["tuning"] is not None:
            self._tunings.wake(row["tuning"])
        if execution is not None:
            self.wake(execution)

    def _finish_step(
        self, connection: sqlite3.Connection, step: sqlite3.Row, job: sqlite3.Row, ended: JsonObject
    ) -> str:
        if job["kind"] == "tuning":
            ended = ended | {"TrainingJobSummaries": tunings.summaries(connection, job)}
        execution = connection.execute("SELECT * FROM executions WHERE arn = ?", (step["execution"],)).fetchone()
        definition = self.definition(connection, execution["pipeline"], execution["version"])
        finish_job(
            connection,
            execution,
            step,
            definition.steps[step["name"]],
            job_records.KINDS[job["kind"]],
            ended,
            awaited=definition.awaited.get(step["name"], ()),
        )
        return str(execution["arn"])

    def _recover(self) -> None:
        """Submit jobs that had not started, end those that had, and wake all running executions."""
        queued: list[JobSpec] = []
        for row in self._db.read().execute(_LEFT_JOBS).fetchall():
            if row["stopping"]:
                self._end(row, "Stopped", "Training job stopped")
            elif row["begun"]:
                self._end(row, "Failed", job_records.LOST)
            else:
                queued.append(job_records.spec_of(row))
        for spec in queued:
            self.submit(spec)
        for row in self._db.read().execute(
            "SELECT arn FROM executions WHERE status IN ('Executing', 'Stopping') ORDER BY seq"
        ):
            self.wake(row["arn"])

    def _run(self) -> None:
        while (arn := self._queue.next()) is not None:
            try:
                self._advance(arn)
            except sqlite3.OperationalError:
                log.exception("execution %s could not be written; retrying", arn)
                self._queue.wake_at(time.time() + _DISK_SECONDS, arn)
            except Exception as error:
                log.exception("execution %s cannot continue", arn)
                self._fail(arn, f"InternalFailure: {type(error).__name__} in the local SageMaker; see its log")

    def _advance(self, arn: str) -> None:
        with self._db.write() as connection:
            execution = connection.execute("SELECT * FROM executions WHERE arn = ?", (arn,)).fetchone()
            if execution is None or execution["status"] not in ("Executing", "Stopping"):
                return
            definition = self.definition(connection, execution["pipeline"], execution["version"])
            step = Advance(connection, execution, definition, self._checks)
            with in_region(region_of(arn)):
                step.run()
        for row in step.calls:
            self._invocations.submit(row)
        if step.has_messages:
            self._outbox.wake()
        for moment in step.timers:
            self._queue.wake_at(moment, arn)
        for spec in step.submit:
            self.submit(spec)
        for job in step.stop:
            self.stop_job(job)

    def _fail(self, arn: str, reason: str) -> None:
        """End an execution that causes an error in the engine, with its steps and jobs."""
        try:
            with self._db.write() as connection:
                connection.execute(
                    "UPDATE executions SET status = 'Failed', failure_reason = ?, modified = ? WHERE arn = ?",
                    (reason, now(), arn),
                )
                connection.execute(
                    "UPDATE steps SET status = 'Failed', ended = ?, failure_reason = ? WHERE execution = ?"
                    " AND status IN ('Starting', 'Executing', 'Stopping')",
                    (now(), reason, arn),
                )
                jobs = connection.execute(
                    "SELECT jobs.arn FROM jobs JOIN steps ON steps.job = jobs.arn"
                    " WHERE steps.execution = ? AND live = 1",
                    (arn,),
                ).fetchall()
            for job in jobs:
                self.stop_job(job["arn"])
        except Exception:
            log.exception("execution %s cannot be ended either", arn)
