"""One attempt at one step: what a step type's `run` may read and write, inside the engine's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Protocol

from local_sagemaker.expressions.values import Scope, resolve
from local_sagemaker.identifiers import now
from local_sagemaker.jobs.spec import JobSpec
from local_sagemaker.json_text import dumps
from local_sagemaker.requests.checks import RequestChecks
from local_sagemaker.steps import cache
from local_sagemaker.steps.step import Arguments, Step
from local_sagemaker.store import invocations, messages
from local_sagemaker.types import JsonMapping, JsonObject, JsonValue, SqlValue

REASON_LENGTH = 1024


class ExecutionValues(Scope, Protocol):
    """The values of one execution."""

    def with_variables(self, variables: Mapping[str, str]) -> Scope:
        """The same values, and execution variables that only one step has."""


class StepRun:
    """Reads a step's resolved arguments, and writes down how it went."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        execution: sqlite3.Row,
        step: Step,
        values: ExecutionValues,
        checks: RequestChecks,
    ) -> None:
        self.connection = connection
        self.execution = execution
        self.step = step
        self.values = values
        self.checks = checks
        self.job: JobSpec | None = None
        """The job to hand to the supervisor after the commit."""
        self.called: int | None = None
        """The row of the step whose function is to be called after the commit."""
        self.has_sent = False
        """Whether there are messages to deliver after the commit."""

    @property
    def metadata(self) -> JsonObject:
        """What earlier has been written of this attempt."""
        found: JsonObject = json.loads(self._row()["metadata"])
        return found

    def resolve(self, value: JsonValue) -> JsonValue:
        """A value with its expressions replaced; raises UnresolvedError."""
        return resolve(value, self.values)

    def resolve_arguments(self, variables: Mapping[str, str] | None = None) -> Arguments:
        """The step's arguments with their expressions replaced; raises UnresolvedError."""
        scope = self.values.with_variables(variables) if variables else self.values
        return {key: resolve(value, scope) for key, value in self.step.arguments.items()}

    def succeed(self, *, metadata: JsonMapping, properties: JsonMapping) -> None:
        """End the step at its first attempt."""
        result = {"metadata": dumps(metadata), "properties": dumps(properties)}
        self._write(status="Succeeded", ended=now(), attempt=1, **result)

    def fail(self, reason: str, *, metadata: JsonMapping | None = None) -> None:
        """End the step as Failed; with metadata it counts as its first attempt."""
        tried: dict[str, SqlValue] = {} if metadata is None else {"attempt": 1, "metadata": dumps(metadata)}
        self._write(status="Failed", ended=now(), failure_reason=reason[:REASON_LENGTH] or None, **tried)

    def fail_to_create(self, action: str, details: str) -> None:
        """End the step as Failed because what it wants to create is refused."""
        self._write(attempt=self._attempts() + 1)
        self.fail(f"ClientError: Failed to invoke sagemaker:{action}. Error Details: {details}")

    def submit_job(self, job: JobSpec, *, metadata: JsonMapping, cache_key: str | None) -> None:
        """Let the step run until its job ends; the job is handed to the supervisor after the commit."""
        self._write(
            status="Executing", attempt=self._attempts() + 1, job=job.arn, metadata=dumps(metadata), cache_key=cache_key
        )
        self.job = job

    def wait_for_callback(self, token: str, *, metadata: JsonMapping) -> None:
        """Let the step run until somebody calls back with the token."""
        self._write(status="Executing", attempt=self._attempts() + 1, callback_token=token, metadata=dumps(metadata))

    def call_function(self, function: str, event: str, *, metadata: JsonMapping) -> None:
        """Let the step run until a function ends, which is called after the commit."""
        self._write(status="Executing", attempt=self._attempts() + 1, metadata=dumps(metadata))
        self.called = int(self._row()["seq"])
        invocations.add(self.connection, self.called, function, event)

    def send(self, queue: str, body: str) -> None:
        """Write down a message, to be delivered after the commit."""
        messages.add(self.connection, self._row()["seq"], queue, body)
        self.has_sent = True

    def take_cached(self, cache_key: str) -> bool:
        """End the step with an earlier result, if there is one that is young enough."""
        source = cache.find(self.connection, cache_key, self.step.cache_days or 0)
        if source is None:
            return False
        self._write(
            status="Succeeded", ended=now(), attempt=0, metadata=source["metadata"], properties=source["properties"],
            job=source["job"], cache_key=cache_key, cache_source=source["execution"],
        )  # fmt: skip
        return True

    def _attempts(self) -> int:
        return int(self._row()["attempt"])

    def _row(self) -> sqlite3.Row:
        row: sqlite3.Row = self.connection.execute(
            "SELECT * FROM steps WHERE execution = ? AND name = ?", (self.execution["arn"], self.step.name)
        ).fetchone()
        return row

    def _write(self, **columns: SqlValue) -> None:
        names = ", ".join(f"{column} = ?" for column in columns)
        self.connection.execute(
            f"UPDATE steps SET {names} WHERE execution = ? AND name = ?",  # noqa: S608
            (*columns.values(), self.execution["arn"], self.step.name),
        )
