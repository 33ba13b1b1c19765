"""StartPipelineExecution, StopPipelineExecution, RetryPipelineExecution."""

from __future__ import annotations

import sqlite3

from local_sagemaker.actions import lookup
from local_sagemaker.actions.context import Context
from local_sagemaker.actions.registry import action
from local_sagemaker.actions.request_tokens import answer_once
from local_sagemaker.definition import Definition
from local_sagemaker.errors import ConflictException, ValidationException
from local_sagemaker.expressions.problem import Problem
from local_sagemaker.expressions.typed_text import TypedValue
from local_sagemaker.identifiers import new_execution_id, now
from local_sagemaker.json_text import dumps
from local_sagemaker.types import Request, Response


@action
def start_pipeline_execution(context: Context, request: Request) -> Response:
    """Start the requested version, by default the latest; it runs once the transaction is committed."""
    with context.db.write() as connection:
        response = answer_once(
            connection, "StartPipelineExecution", request, lambda: _start(context, connection, request)
        )
    context.engine.wake(response["PipelineExecutionArn"])
    return response


def _start(context: Context, connection: sqlite3.Connection, request: Request) -> tuple[Response, str]:
    found = lookup.pipeline(connection, request["PipelineName"])
    version = lookup.version(connection, found, request.get("PipelineVersionId"), request.get("PipelineVersionAlias"))
    definition = context.engine.definition(connection, found["arn"], version["version"])
    given = _parameters(request.get("PipelineParameters") or [], definition)
    execution_id = new_execution_id()
    arn, moment = f"{found['arn']}/execution/{execution_id}", now()
    connection.execute(
        "INSERT INTO executions (arn, id, pipeline, version, display_name, description, status, role_arn, parameters,"
        " parallelism, created, modified) VALUES (?, ?, ?, ?, ?, ?, 'Executing', ?, ?, ?, ?, ?)",
        (
            arn, execution_id, found["arn"], version["version"],
            request.get("PipelineExecutionDisplayName") or f"execution-{int(moment * 1000)}",
            request.get("PipelineExecutionDescription"), request.get("RoleArn") or found["role_arn"], dumps(given),
            lookup.parallelism_of(request) or found["parallelism"], moment, moment,
        ),
    )  # fmt: skip
    connection.execute("UPDATE pipelines SET last_run = ? WHERE arn = ?", (moment, found["arn"]))
    connection.execute(
        "UPDATE versions SET last_execution = ? WHERE pipeline = ? AND version = ?",
        (arn, found["arn"], version["version"]),
    )
    return {"PipelineExecutionArn": arn}, arn


def _parameters(items: list[dict[str, str]], definition: Definition) -> dict[str, TypedValue | None]:
    given: dict[str, TypedValue] = {}
    for item in items:
        name = item["Name"]
        if name not in definition.parameters:
            raise ValidationException(f"Unknown parameters [{name}] are not defined in the pipeline definition.")
        if name in given:
            raise ValidationException(f"Parameter [{name}] is given more than once.")
        if item["Value"] == "":
            raise ValidationException('[string "" is too short (length: 0, required minimum: 1)]')
        try:
            given[name] = definition.parameters[name].parse(item["Value"])
        except Problem as problem:
            raise ValidationException(f"{problem}.") from None
    missing = [name for name in definition.required_parameters if name not in given]
    if missing:
        raise ValidationException(f"Parameters [{', '.join(missing)}] do not have default values and must be provided.")
    return {name: given.get(name, parameter.default) for name, parameter in definition.parameters.items()}


@action
def stop_pipeline_execution(context: Context, request: Request) -> Response:
    """Stop an execution: no further steps start, and running jobs get SIGTERM."""
    arn = request["PipelineExecutionArn"]
    with context.db.write() as connection:
        response = answer_once(connection, "StopPipelineExecution", request, lambda: (_stop(connection, arn), arn))
    context.engine.wake(response["PipelineExecutionArn"])
    return response


def _stop(connection: sqlite3.Connection, arn: str) -> Response:
    found = lookup.execution(connection, arn)
    if found["status"] != "Executing":
        raise ValidationException(
            "Only pipelines with 'Executing' status can be stopped."
            f" Pipeline execution with ARN '{arn}' has the status {found['status']}."
        )
    connection.execute("UPDATE executions SET status = 'Stopping', modified = ? WHERE seq = ?", (now(), found["seq"]))
    return {"PipelineExecutionArn": found["arn"]}


@action
def retry_pipeline_execution(context: Context, request: Request) -> Response:
    """Continue a failed or stopped execution from the steps that did not succeed."""
    arn = request["PipelineExecutionArn"]
    with context.db.write() as connection:
        response = answer_once(
            connection, "RetryPipelineExecution", request, lambda: (_retry(connection, request), arn)
        )
    context.engine.wake(response["PipelineExecutionArn"])
    return response


def _retry(connection: sqlite3.Connection, request: Request) -> Response:
    arn = request["PipelineExecutionArn"]
    found = lookup.execution(connection, arn)
    if found["status"] not in ("Failed", "Stopped"):
        raise ConflictException(
            f"Pipeline execution with ARN '{arn}' can't be retried: its status is {found['status']},"
            " only Failed and Stopped ones can."
        )
    arn = found["arn"]
    connection.execute("DELETE FROM steps WHERE execution = ? AND status <> 'Succeeded'", (arn,))
    connection.execute(
        "UPDATE executions SET status = 'Executing', failure_reason = NULL, modified = ?,"
        " parallelism = coalesce(?, parallelism) WHERE arn = ?",
        (now(), lookup.parallelism_of(request), arn),
    )
    return {"PipelineExecutionArn": arn}
