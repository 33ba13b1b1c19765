"""SendPipelineExecutionStepSuccess and SendPipelineExecutionStepFailure, which end a Callback step."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from local_sagemaker.actions.context import Context
from local_sagemaker.actions.lookup import is_here
from local_sagemaker.actions.registry import action
from local_sagemaker.actions.request_tokens import answer_once
from local_sagemaker.errors import ConflictException, ResourceNotFound, ValidationException
from local_sagemaker.expressions.problem import Problem
from local_sagemaker.identifiers import now
from local_sagemaker.steps import callback_step
from local_sagemaker.steps.step import Step
from local_sagemaker.types import Request, Response

_End = Callable[[sqlite3.Connection, sqlite3.Row, Step, Request], None]


@action
def send_pipeline_execution_step_success(context: Context, request: Request) -> Response:
    """End a Callback step with its outputs."""
    return _call_back(context, "SendPipelineExecutionStepSuccess", request, _succeed)


@action
def send_pipeline_execution_step_failure(context: Context, request: Request) -> Response:
    """End a Callback step as Failed."""
    return _call_back(context, "SendPipelineExecutionStepFailure", request, _fail)


def _call_back(context: Context, name: str, request: Request, end: _End) -> Response:
    with context.db.write() as connection:
        response = answer_once(connection, name, request, lambda: _end(context, connection, request, end))
    context.engine.wake(response["PipelineExecutionArn"])
    return response


def _end(context: Context, connection: sqlite3.Connection, request: Request, end: _End) -> tuple[Response, str]:
    token = request["CallbackToken"]
    row = connection.execute("SELECT * FROM steps WHERE callback_token = ?", (token,)).fetchone()
    if row is None or not is_here(row["execution"]):
        raise ResourceNotFound(f"Callback token '{token}' does not exist.")
    if row["status"] not in ("Executing", "Stopping"):
        text = f"The step '{row['name']}' of callback token '{token}' has already ended: its status is {row['status']}."
        raise ConflictException(text)
    execution = connection.execute("SELECT * FROM executions WHERE arn = ?", (row["execution"],)).fetchone()
    definition = context.engine.definition(connection, execution["pipeline"], execution["version"])
    end(connection, row, definition.steps[row["name"]], request)
    if execution["status"] == "Stopping":  # a stopping execution waits for the callback, whatever its result
        connection.execute("UPDATE steps SET status = 'Stopped', properties = '{}' WHERE seq = ?", (row["seq"],))
    return {"PipelineExecutionArn": execution["arn"]}, execution["arn"]


def _succeed(connection: sqlite3.Connection, row: sqlite3.Row, step: Step, request: Request) -> None:
    outputs: dict[str, str] = {}
    for item in request.get("OutputParameters") or []:
        if item["Name"] in outputs:
            raise ValidationException(f"Output parameter '{item['Name']}' is given more than once.")
        outputs[item["Name"]] = item["Value"]
    try:
        callback_step.succeed(connection, row, step, outputs)
    except Problem as problem:
        raise ValidationException(f"{problem}.") from None


def _fail(connection: sqlite3.Connection, row: sqlite3.Row, _step: Step, request: Request) -> None:
    reason = request.get("FailureReason") or "The callback reported a failure without a reason."
    connection.execute(
        "UPDATE steps SET status = 'Failed', ended = ?, failure_reason = ? WHERE seq = ?", (now(), reason, row["seq"])
    )
