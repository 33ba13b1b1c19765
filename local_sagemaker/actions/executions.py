"""Describe, list and update executions, their steps, parameters and definitions."""

from __future__ import annotations

import json
import sqlite3

from local_sagemaker.actions import lookup
from local_sagemaker.actions.context import Context
from local_sagemaker.actions.paging import DEFAULT_PAGE, Query, page
from local_sagemaker.actions.registry import action
from local_sagemaker.errors import ValidationException
from local_sagemaker.expressions.typed_text import TypedValue
from local_sagemaker.expressions.values import as_text
from local_sagemaker.identifiers import caller, now
from local_sagemaker.json_text import without_none
from local_sagemaker.types import Request, Response


@action
def describe_pipeline_execution(context: Context, request: Request) -> Response:
    """Describe an execution."""
    connection = context.db.read()
    row = lookup.execution(connection, request["PipelineExecutionArn"])
    return without_none(
        {
            "PipelineArn": row["pipeline"],
            "PipelineExecutionArn": row["arn"],
            "PipelineExecutionDisplayName": row["display_name"],
            "PipelineExecutionStatus": row["status"],
            "PipelineExecutionDescription": row["description"],
            "FailureReason": row["failure_reason"],
            "CreationTime": row["created"],
            "LastModifiedTime": row["modified"],
            "CreatedBy": caller(),
            "LastModifiedBy": caller(),
            "ParallelismConfiguration": lookup.parallelism(row["parallelism"]),
            "PipelineVersionId": row["version"],
            "PipelineVersionAliases": lookup.aliases(connection, row["pipeline"], row["version"]) or None,
            "RoleArn": row["role_arn"],
        }
    )


@action
def list_pipeline_executions(context: Context, request: Request) -> Response:
    """The executions of a pipeline, newest first by default."""
    connection = context.db.read()
    found = lookup.pipeline(connection, request["PipelineName"])
    query = Query("executions")
    query.add("pipeline = ?", found["arn"])
    if request.get("PipelineVersionAlias"):
        version = lookup.version(connection, found, None, request["PipelineVersionAlias"])
        query.add("version = ?", version["version"])
    query.add_range("created", request.get("CreatedAfter"), request.get("CreatedBefore"))
    rows, token = page(
        connection,
        query,
        request,
        sort="arn" if request.get("SortBy") == "PipelineExecutionArn" else "created",
        descending=request.get("SortOrder", "Descending") == "Descending",
    )
    numbers = {row["version"] for row in rows}
    aliases = {number: lookup.aliases(connection, found["arn"], number) for number in numbers}
    return {"PipelineExecutionSummaries": [_summary(row, aliases[row["version"]]) for row in rows], **token}


def _summary(row: sqlite3.Row, aliases: list[str]) -> Response:
    return without_none(
        {
            "PipelineExecutionArn": row["arn"],
            "StartTime": row["created"],
            "PipelineExecutionStatus": row["status"],
            "PipelineExecutionDescription": row["description"],
            "PipelineExecutionDisplayName": row["display_name"],
            "PipelineExecutionFailureReason": row["failure_reason"],
            "PipelineVersionAliases": aliases or None,
        }
    )


@action
def update_pipeline_execution(context: Context, request: Request) -> Response:
    """Change an execution's name, description or parallelism."""
    with context.db.write() as connection:
        row = lookup.execution(connection, request["PipelineExecutionArn"])
        connection.execute(
            "UPDATE executions SET display_name = coalesce(?, display_name), description = coalesce(?, description),"
            " parallelism = coalesce(?, parallelism), modified = ? WHERE arn = ?",
            (
                request.get("PipelineExecutionDisplayName"), request.get("PipelineExecutionDescription"),
                lookup.parallelism_of(request), now(), row["arn"],
            ),
        )  # fmt: skip
    context.engine.wake(row["arn"])
    return {"PipelineExecutionArn": row["arn"]}


@action
def list_pipeline_execution_steps(context: Context, request: Request) -> Response:
    """The steps that have started, most recent first by default."""
    if request.get("PipelineExecutionArn") is None:
        raise ValidationException("PipelineExecutionArn must be specified.")
    connection = context.db.read()
    row = lookup.execution(connection, request["PipelineExecutionArn"])
    definition = context.engine.definition(connection, row["pipeline"], row["version"])
    query = Query("steps")
    query.add("execution = ?", row["arn"])
    descending = request.get("SortOrder", "Descending") == "Descending"
    rows, token = page(connection, query, request, sort="started", descending=descending)
    steps = []
    for step in rows:
        defined = definition.steps[step["name"]]
        steps.append(
            without_none(
                {
                    "StepName": step["name"],
                    "StepDisplayName": defined.display_name,
                    "StepDescription": defined.description,
                    "StartTime": step["started"],
                    "EndTime": step["ended"],
                    "StepStatus": step["status"],
                    "CacheHitResult": {"SourcePipelineExecutionArn": step["cache_source"]}
                    if step["cache_source"]
                    else None,
                    "FailureReason": step["failure_reason"],
                    "Metadata": json.loads(step["metadata"]),
                    "AttemptCount": step["attempt"],
                }
            )
        )
    return {"PipelineExecutionSteps": steps, **token}


@action
def list_pipeline_parameters_for_execution(context: Context, request: Request) -> Response:
    """An execution's parameter values, in the definition's order."""
    connection = context.db.read()
    row = lookup.execution(connection, request["PipelineExecutionArn"])
    values: dict[str, TypedValue | None] = json.loads(row["parameters"])
    order = list(context.engine.definition(connection, row["pipeline"], row["version"]).parameters)
    start = _offset(request.get("NextToken"), len(order))
    end = start + (request.get("MaxResults") or DEFAULT_PAGE)
    items = [{"Name": name, "Value": as_text(values[name])} for name in order[start:end]]
    return {"PipelineParameters": items, **({"NextToken": str(end)} if end < len(order) else {})}


def _offset(token: str | None, count: int) -> int:
    if token is None:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) < 6 and 0 < int(token) < count):
        raise ValidationException("Invalid NextToken: this operation did not return it")
    return int(token)


@action
def describe_pipeline_definition_for_execution(context: Context, request: Request) -> Response:
    """The definition that an execution runs, even if the pipeline has changed since."""
    connection = context.db.read()
    row = lookup.execution(connection, request["PipelineExecutionArn"])
    version = connection.execute(
        "SELECT definition, created FROM versions WHERE pipeline = ? AND version = ?", (row["pipeline"], row["version"])
    ).fetchone()
    return {"PipelineDefinition": version["definition"], "CreationTime": version["created"]}
