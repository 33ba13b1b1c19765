"""CreatePipeline, UpdatePipeline, DescribePipeline, ListPipelines, DeletePipeline."""

from __future__ import annotations

import sqlite3

from local_sagemaker.actions import lookup
from local_sagemaker.actions.context import Context
from local_sagemaker.actions.paging import Query, page
from local_sagemaker.actions.registry import action
from local_sagemaker.actions.request_tokens import answer_once
from local_sagemaker.actions.versions import add_aliases
from local_sagemaker.definition import parse
from local_sagemaker.errors import ConflictException, ValidationException
from local_sagemaker.expressions.problem import AssignmentProblem, Problem
from local_sagemaker.identifiers import caller, now, pipeline_arn
from local_sagemaker.json_text import without_none
from local_sagemaker.steps.step_types import STEP_TYPES
from local_sagemaker.store import tags as tag_records
from local_sagemaker.types import Request, Response


def _definition_text(context: Context, request: Request) -> str | None:
    text, location = request.get("PipelineDefinition"), request.get("PipelineDefinitionS3Location")
    if text is not None and location is not None:
        raise ValidationException("You can't specify both PipelineDefinition and PipelineDefinitionS3Location.")
    if location is not None:
        text = _read_s3(context, location)
    if text is None:
        return None
    try:
        definition = parse(text)
        for step in definition.steps.values():
            for refusal in STEP_TYPES[step.type].unsupported_here(step, context.checks):
                raise Problem(f"Step '{step.name}': {refusal}")
    except AssignmentProblem as problem:
        raise ValidationException(str(problem)) from None
    except Problem as problem:
        raise ValidationException(f"Unable to parse pipeline definition. {problem}") from None
    return str(text)


def _read_s3(context: Context, location: dict[str, str]) -> str:
    from local_sagemaker.s3.files import S3ReadError, read_object

    uri = f"s3://{location['Bucket']}/{location['ObjectKey']}"
    try:
        return read_object(context.s3_dir, uri, limit=1_048_576).decode("utf-8")
    except (S3ReadError, UnicodeDecodeError) as error:
        raise ValidationException(f"Unable to read PipelineDefinitionS3Location {uri}: {error}") from None


@action
def create_pipeline(context: Context, request: Request) -> Response:
    """Check the definition, then create the pipeline, its version 1, and the requested aliases."""
    definition = _definition_text(context, request)
    if definition is None:
        raise ValidationException("Either PipelineDefinition or PipelineDefinitionS3Location must be specified.")
    with context.db.write() as connection:
        return answer_once(connection, "CreatePipeline", request, lambda: _create(connection, request, definition))


def _create(connection: sqlite3.Connection, request: Request, definition: str) -> tuple[Response, str]:
    name = request["PipelineName"]
    arn, moment = pipeline_arn(name), now()
    if connection.execute("SELECT 1 FROM pipelines WHERE arn = ? COLLATE NOCASE", (arn,)).fetchone():
        # `Pipeline.upsert` of the SDK recognises this text
        raise ValidationException(
            "Pipeline names must be unique within an AWS account and region."
            f" Pipeline with name ({name}) already exists."
        )
    connection.execute(
        "INSERT INTO pipelines (name, arn, display_name, description, role_arn, parallelism, created, modified)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            name, arn, request.get("PipelineDisplayName") or name, request.get("PipelineDescription"),
            request["RoleArn"], lookup.parallelism_of(request), moment, moment,
        ),
    )  # fmt: skip
    _add_version(connection, arn, 1, definition, moment)
    add_aliases(connection, arn, 1, request.get("PipelineVersionAliases") or [])
    tag_records.write(connection, arn, request.get("Tags") or [])
    return {"PipelineArn": arn}, arn


def _add_version(connection: sqlite3.Connection, arn: str, number: int, definition: str, moment: float) -> None:
    connection.execute(
        "INSERT INTO versions (pipeline, version, definition, created) VALUES (?, ?, ?, ?)",
        (arn, number, definition, moment),
    )


@action
def update_pipeline(context: Context, request: Request) -> Response:
    """Change the given members. A changed definition creates a new version; only then may aliases be given."""
    definition = _definition_text(context, request)
    with context.db.write() as connection:
        found = lookup.pipeline(connection, request["PipelineName"])
        latest = lookup.version(connection, found, None, None)
        moment, number = now(), latest["version"]
        changed = definition is not None and definition != latest["definition"]
        asked = request.get("PipelineVersionAliases") or []
        if definition is not None and changed:
            number += 1
            _add_version(connection, found["arn"], number, definition, moment)
            add_aliases(connection, found["arn"], number, asked)
        elif asked:
            raise ValidationException(
                "PipelineVersionAliases can be specified only when the update changes the pipeline definition."
                " Use UpdatePipelineVersion to change the aliases of an existing version."
            )
        connection.execute(
            "UPDATE pipelines SET display_name = coalesce(?, display_name), description = coalesce(?, description),"
            " role_arn = coalesce(?, role_arn), parallelism = coalesce(?, parallelism), modified = ? WHERE arn = ?",
            (
                request.get("PipelineDisplayName"), request.get("PipelineDescription"), request.get("RoleArn"),
                lookup.parallelism_of(request), moment, found["arn"],
            ),
        )  # fmt: skip
        return {"PipelineArn": found["arn"], "PipelineVersionId": number}


@action
def describe_pipeline(context: Context, request: Request) -> Response:
    """Describe a pipeline, with the definition of the requested version, by default the latest."""
    connection = context.db.read()
    found = lookup.pipeline(connection, request["PipelineName"])
    version = lookup.version(connection, found, request.get("PipelineVersionId"), request.get("PipelineVersionAlias"))
    return without_none(
        {
            "PipelineArn": found["arn"],
            "PipelineName": found["name"],
            "PipelineDisplayName": found["display_name"],
            "PipelineDefinition": version["definition"],
            "PipelineDescription": found["description"],
            "RoleArn": found["role_arn"],
            "PipelineStatus": "Active",
            "CreationTime": found["created"],
            "LastModifiedTime": found["modified"],
            "LastRunTime": found["last_run"],
            "CreatedBy": caller(),
            "LastModifiedBy": caller(),
            "ParallelismConfiguration": lookup.parallelism(found["parallelism"]),
            "PipelineVersionDisplayName": version["display_name"],
            "PipelineVersionDescription": version["description"],
            "PipelineVersionAliases": lookup.aliases(connection, found["arn"], version["version"]) or None,
        }
    )


@action
def list_pipelines(context: Context, request: Request) -> Response:
    """Pipelines by name or creation time, newest first by default."""
    query = Query("pipelines")
    query.add_region()
    if request.get("PipelineNamePrefix"):
        query.add("substr(name, 1, ?) = ?", len(request["PipelineNamePrefix"]), request["PipelineNamePrefix"])
    if request.get("ManagedBy") == "AWS":
        query.add("0")
    query.add_range("created", request.get("CreatedAfter"), request.get("CreatedBefore"))
    rows, token = page(
        context.db.read(),
        query,
        request,
        sort="name" if request.get("SortBy") == "Name" else "created",
        descending=request.get("SortOrder", "Descending") == "Descending",
    )
    return {"PipelineSummaries": [_summary(row) for row in rows], **token}


def _summary(row: sqlite3.Row) -> Response:
    return without_none(
        {
            "PipelineArn": row["arn"],
            "PipelineName": row["name"],
            "PipelineDisplayName": row["display_name"],
            "PipelineDescription": row["description"],
            "RoleArn": row["role_arn"],
            "CreationTime": row["created"],
            "LastModifiedTime": row["modified"],
            "LastExecutionTime": row["last_run"],
        }
    )


@action
def delete_pipeline(context: Context, request: Request) -> Response:
    """Delete a pipeline with its versions and executions; ServiceError while an execution is running."""
    with context.db.write() as connection:
        return answer_once(connection, "DeletePipeline", request, lambda: _delete(connection, request["PipelineName"]))


def _delete(connection: sqlite3.Connection, name: str) -> tuple[Response, None]:
    found = lookup.pipeline(connection, name)
    arn = found["arn"]
    live = connection.execute(
        "SELECT arn FROM executions WHERE pipeline = ? AND status IN ('Executing', 'Stopping') LIMIT 1", (arn,)
    ).fetchone()
    if live:
        raise ConflictException(
            f"Pipeline '{arn}' cannot be deleted: its execution '{live['arn']}' is running. Stop it first."
        )
    connection.execute(
        "DELETE FROM tokens WHERE resource = ? OR resource IN (SELECT arn FROM executions WHERE pipeline = ?)",
        (arn, arn),
    )
    connection.execute("DELETE FROM tags WHERE arn = ?", (arn,))
    connection.execute("DELETE FROM pipelines WHERE arn = ?", (arn,))
    return {"PipelineArn": arn}, None
