"""An attempt at a step: what a step type's `run` can read and write, inside the engine's transaction."""

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
    """The values of an execution."""

    def with_variables(self, variables: Mapping[str, str]) -> Scope:
        """The same values, with additional execution variables of a step."""


class StepRun:
    """Resolves a step's arguments, and stores the step's status."""

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
        """The job to submit to the supervisor after the commit."""
        self.called: int | None = None
        """The row of the step whose function must be called after the commit."""
        self.has_sent = False
        """Whether messages must be delivered after the commit."""

    @property
    def metadata(self) -> JsonObject:
        """The stored metadata of this attempt."""
        found: JsonObject = json.loads(self._row()["metadata"])
        return found

    def resolve(self, value: JsonValue) -> JsonValue:
        """Replace the expressions in a value; raises UnresolvedError."""
        return resolve(value, self.values)

    def resolve_arguments(self, variables: Mapping[str, str] | None = None) -> Arguments:
        """Replace the expressions in the step's arguments; raises UnresolvedError."""
        scope = self.values.with_variables(variables) if variables else self.values
        return {key: resolve(value, scope) for key, value in self.step.arguments.items()}

    def succeed(self, *, metadata: JsonMapping, properties: JsonMapping) -> None:
        """End the step as Succeeded, in its first attempt."""
        result = {"metadata": dumps(metadata), "properties": dumps(properties)}
        self._write(status="Succeeded", ended=now(), attempt=1, **result)

    def fail(self, reason: str, *, metadata: JsonMapping | None = None) -> None:
        """End the step as Failed; with metadata it counts as its first attempt."""
        tried: dict[str, SqlValue] = {} if metadata is None else {"attempt": 1, "metadata": dumps(metadata)}
        self._write(status="Failed", ended=now(), failure_reason=reason[:REASON_LENGTH] or None, **tried)

    def fail_to_create(self, action: str, details: str) -> None:
        """End the step as Failed because its action was rejected."""
        self._write(attempt=self._attempts() + 1)
        self.fail(f"ClientError: Failed to invoke sagemaker:{action}. Error Details: {details}")

    def submit_job(self, job: JobSpec, *, metadata: JsonMapping, cache_key: str | None) -> None:
        """Set the step to Executing until its job ends. The job is submitted after the commit."""
        self._write(
            status="Executing", attempt=self._attempts() + 1, job=job.arn, metadata=dumps(metadata), cache_key=cache_key
        )
        self.job = job

    def wait_for_callback(self, token: str, *, metadata: JsonMapping) -> None:
        """Set the step to Executing until a callback with the token."""
        self._write(status="Executing", attempt=self._attempts() + 1, callback_token=token, metadata=dumps(metadata))

    def call_function(self, function: str, event: str, *, metadata: JsonMapping) -> None:
        """Set the step to Executing until a function returns. The function is called after the commit."""
        self._write(status="Executing", attempt=self._attempts() + 1, metadata=dumps(metadata))
        self.called = int(self._row()["seq"])
        invocations.add(self.connection, self.called, function, event)

    def send(self, queue: str, body: str) -> None:
        """Store a message, which is delivered after the commit."""
        messages.add(self.connection, self._row()["seq"], queue, body)
        self.has_sent = True

    def take_cached(self, cache_key: str) -> bool:
        """End the step with a cached result, if there is one that is recent enough; return whether there is."""
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
