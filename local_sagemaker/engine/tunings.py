"""Tuning jobs: one thread starts and stops their training jobs, and ends them.

It has no state: the next action is computed from the training jobs in the database.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from local_sagemaker.engine.wake_queue import WakeQueue
from local_sagemaker.identifiers import in_region, now, region_of
from local_sagemaker.jobs.spec import JobSpec
from local_sagemaker.requests.instances import Capacity
from local_sagemaker.requests.tuning import number_of_trials, objective_of
from local_sagemaker.store import jobs as job_records
from local_sagemaker.store import tunings
from local_sagemaker.store.database import Database
from local_sagemaker.tuning import ranges
from local_sagemaker.tuning.strategies import Search, Trial
from local_sagemaker.types import Request

log = logging.getLogger(__name__)

_ATTEMPTS = 5
"""A tuning job fails after this many training jobs without a success."""
_DISK_SECONDS = 2.0
_NO_SUCCESS = (
    "No training job succeeded after {} attempts. For additional details, please take a look at the training job"
    " failures by listing training jobs for the tuning job."
)
_NO_METRIC = (
    "No objective metrics found after running {} training jobs. Please ensure that the custom algorithm is emitting the"
    " objective metric as defined by the regular expression provided."
)


class TrainingJobs(Protocol):
    """Runs training jobs, and stores the changes of tuning jobs."""

    def submit(self, spec: JobSpec) -> None:
        """Run a training job that has been committed."""

    def stop_job(self, arn: str) -> None:
        """Stop a training job."""

    def changed(self, arn: str, changes: Mapping[str, object]) -> None:
        """Store members of Describe that changed."""


@dataclass(frozen=True)
class Plan:
    """The next actions for a tuning job."""

    trials: tuple[int, ...] = ()
    """The trials to start."""
    stops: bool = False
    """Whether to stop the running training jobs."""
    end: tuple[str, str | None] | None = None
    """Status and reason to end with, if no training job is running."""


class Tunings:
    """The tuning jobs of a server."""

    def __init__(self, db: Database, capacity: Capacity, jobs: TrainingJobs) -> None:
        self._db = db
        self._capacity = capacity
        self._jobs = jobs
        self._queue = WakeQueue()
        self._thread = threading.Thread(target=self._run, name="tunings", daemon=True)

    def start(self) -> None:
        """Continue the work of an earlier server, then run."""
        for row in self._db.read().execute("SELECT arn FROM jobs WHERE kind = 'tuning' AND live = 1 ORDER BY seq"):
            self._queue.wake(row["arn"])
        self._thread.start()

    def shutdown(self) -> None:
        """Stop deciding."""
        self._queue.close()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def wake(self, arn: str) -> None:
        """Advance a tuning job soon."""
        self._queue.wake(arn)

    def _run(self) -> None:
        while (arn := self._queue.next()) is not None:
            try:
                with in_region(region_of(arn)):
                    self._advance(arn)
            except sqlite3.OperationalError:
                log.exception("tuning job %s could not be written; retrying", arn)
                self._queue.wake_at(time.time() + _DISK_SECONDS, arn)
            except Exception as error:
                log.exception("tuning job %s cannot continue", arn)
                self._give_up(arn, f"InternalServerError: {type(error).__name__} in the local SageMaker; see its log")

    def _advance(self, arn: str) -> None:
        connection = self._db.read()
        tuning = _find(connection, arn)
        if tuning is None:
            return
        rows = tunings.training_jobs(connection, arn)
        next_ = plan(tuning, rows)
        if next_.end is not None:
            self._end(tuning, *next_.end)
        elif next_.stops:
            self._stop(rows)
        else:
            self._start(tuning, rows, next_.trials)
            deadline = _deadline(tuning)
            if deadline is not None:
                self._queue.wake_at(deadline, arn)

    def _start(self, tuning: sqlite3.Row, rows: list[sqlite3.Row], trials: tuple[int, ...]) -> None:
        search = _search(tuning)
        latest = _latest(rows)
        tried = [
            Trial(json.loads(row["tuned"]), row["objective"])
            for row in latest.values()
            if row["live"] or row["objective"] is not None
        ]
        for trial in trials:
            # retry a trial that was lost with its server
            lost = latest.get(trial)
            values = json.loads(lost["tuned"]) if lost is not None else search.choose(trial, tried)
            tried.append(Trial(values, None))
            with self._db.write() as connection:
                current = _find(connection, tuning["arn"])
                if current is None or current["status"] != "InProgress":
                    break
                spec = tunings.insert_training_job(connection, tuning, trial, values, self._capacity)
            self._jobs.submit(spec)

    def _stop(self, rows: list[sqlite3.Row]) -> None:
        for row in rows:
            if row["status"] != "InProgress":
                continue
            with self._db.write() as connection:
                job_records.mark_as_stopping(connection, row, job_records.TRAINING)
            self._jobs.stop_job(row["arn"])

    def _end(self, tuning: sqlite3.Row, status: str, reason: str | None) -> None:
        changes = tunings.progress(self._db.read(), tuning)
        changes |= job_records.ending_changes(tuning, status, reason or "")
        self._jobs.changed(tuning["arn"], changes)

    def _give_up(self, arn: str, reason: str) -> None:
        """End a tuning job that causes an error, with its training jobs."""
        try:
            connection = self._db.read()
            tuning = _find(connection, arn)
            if tuning is not None:
                self._end(tuning, "Failed", reason)
                self._stop(tunings.training_jobs(connection, arn))
        except Exception:
            log.exception("tuning job %s cannot be ended either", arn)


def plan(tuning: sqlite3.Row, rows: list[sqlite3.Row]) -> Plan:
    """Compute the next actions from a running tuning job and its training jobs."""
    request = json.loads(tuning["request"])
    is_live = any(row["live"] for row in rows)
    end = _reason_to_end(tuning, request, rows)
    if end is not None:
        return Plan(stops=True) if is_live else Plan(end=end)
    latest = _latest(rows)
    left = [
        number
        for number in range(1, number_of_trials(request) + 1)
        if number not in latest or tunings.is_lost(latest[number])
    ]
    if not left and not is_live:
        succeeded = any(row["objective"] is not None for row in rows)
        return Plan(end=("Completed", None) if succeeded else ("Failed", _why(rows)))
    at_once = request["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxParallelTrainingJobs"]
    return Plan(trials=tuple(left[: max(at_once - sum(row["live"] for row in rows), 0)]))


def _reason_to_end(tuning: sqlite3.Row, request: Request, rows: list[sqlite3.Row]) -> tuple[str, str | None] | None:
    deadline = _deadline(tuning)
    if tuning["status"] == "Stopping" or (deadline is not None and deadline <= now()):
        return "Stopped", None
    found = [row["objective"] for row in rows if row["objective"] is not None]
    failed = [row for row in rows if not row["live"] and row["objective"] is None and not tunings.is_lost(row)]
    if not found and len(failed) >= _ATTEMPTS:
        return "Failed", _why(rows)
    target = (request["HyperParameterTuningJobConfig"].get("TuningJobCompletionCriteria") or {}).get(
        "TargetObjectiveMetricValue"
    )
    if target is not None and found:
        maximize = objective_of(request)["Type"] == "Maximize"
        if max(found) >= target if maximize else min(found) <= target:
            return "Completed", None
    return None


def _why(rows: list[sqlite3.Row]) -> str:
    """The service's message for a tuning job without an objective."""
    text = _NO_METRIC if any(row["status"] == "Completed" for row in rows) else _NO_SUCCESS
    return text.format(sum(not row["live"] for row in rows))


def _deadline(tuning: sqlite3.Row) -> float | None:
    limits = json.loads(tuning["request"])["HyperParameterTuningJobConfig"]["ResourceLimits"]
    seconds = limits.get("MaxRuntimeInSeconds")
    return None if seconds is None else float(tuning["created"] + seconds)


def _latest(rows: list[sqlite3.Row]) -> dict[int, sqlite3.Row]:
    """The last attempt at each trial."""
    return {row["trial"]: row for row in rows}


def _search(tuning: sqlite3.Row) -> Search:
    request = json.loads(tuning["request"])
    config = request["HyperParameterTuningJobConfig"]
    seed = config.get("RandomSeed")
    return Search(
        strategy=config["Strategy"],
        ranges=ranges.parse(config["ParameterRanges"]),
        seed=str(seed) if seed is not None else f"{tuning['arn']}:{tuning['created']}",
        maximize=objective_of(request)["Type"] == "Maximize",
        trials=number_of_trials(request),
    )


def _find(connection: sqlite3.Connection, arn: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM jobs WHERE arn = ? AND live = 1", (arn,)).fetchone()
    return row
