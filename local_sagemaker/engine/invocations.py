"""Calls the functions of Lambda steps concurrently; each call starts at most once."""

from __future__ import annotations

import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from local_sagemaker.definition import Definition
from local_sagemaker.jobs.functions import Outcome
from local_sagemaker.steps import lambda_step
from local_sagemaker.store import invocations
from local_sagemaker.store.database import Database

log = logging.getLogger(__name__)

_AT_ONCE = 16
_DISK_SECONDS = 2.0
_LOST = "InternalServerError: the local SageMaker server ended while the function was running"


class FunctionCaller(Protocol):
    """Calls functions."""

    def call(self, arn: str, event: str, request_id: str) -> Outcome:
        """Call a function and wait for its result."""

    def shutdown(self) -> None:
        """End running calls."""


class Invocations:
    """The calls of a server."""

    def __init__(
        self,
        db: Database,
        functions: FunctionCaller,
        definition: Callable[[sqlite3.Connection, str, int], Definition],
        wake: Callable[[str], None],
    ) -> None:
        """`definition` returns a pipeline's version; `wake` makes the engine advance an execution."""
        self._db = db
        self._functions = functions
        self._definition = definition
        self._wake = wake
        self._ending = threading.Event()
        self._workers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="function")

    def recover(self) -> None:
        """Continue an earlier server's calls. Those that had started may have had effects, so they are not repeated."""
        for row in invocations.left(self._db.read()):
            if row["begun"] is None:
                self.submit(row["step"])
            else:
                self._finish(row, Outcome(failure=_LOST))

    def submit(self, step: int) -> None:
        """Call the function of a step whose call has been committed."""
        if not self._ending.is_set():
            self._workers.submit(self._work, step)

    def shutdown(self) -> None:
        """Start no further calls, and end running ones; the next server reports them as lost."""
        self._ending.set()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._functions.shutdown()

    def _work(self, step: int) -> None:
        try:
            with self._db.write() as connection:
                row = invocations.begin(connection, step)
            if row is None:
                return
            outcome = self._functions.call(row["function"], row["event"], str(uuid.uuid4()))
            while not self._ending.is_set():
                try:
                    self._finish(row, outcome)
                    return
                except sqlite3.OperationalError:  # a full disk must not lose the outcome
                    log.exception("the outcome of %s could not be written; retrying", row["function"])
                    self._ending.wait(_DISK_SECONDS)
        except Exception:
            log.exception("a function cannot be called")

    def _finish(self, call: sqlite3.Row, outcome: Outcome) -> None:
        with self._db.write() as connection:
            row = connection.execute("SELECT * FROM steps WHERE seq = ?", (call["step"],)).fetchone()
            if row is None or row["status"] not in ("Executing", "Stopping"):
                return
            execution = connection.execute("SELECT * FROM executions WHERE arn = ?", (row["execution"],)).fetchone()
            step = self._definition(connection, execution["pipeline"], execution["version"]).steps[row["name"]]
            lambda_step.finish(connection, row, step, call["function"], outcome)
            if execution["status"] == "Stopping" and not outcome.timed_out:
                connection.execute(
                    "UPDATE steps SET status = 'Stopped', properties = '{}' WHERE seq = ?", (row["seq"],)
                )
        self._wake(row["execution"])
