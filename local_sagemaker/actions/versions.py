"""Pipeline versions and their aliases: ListPipelineVersions, UpdatePipelineVersion."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from local_sagemaker.actions import lookup
from local_sagemaker.actions.context import Context
from local_sagemaker.actions.paging import Query, page
from local_sagemaker.actions.registry import action
from local_sagemaker.errors import ConflictException, ResourceNotFound, ValidationException
from local_sagemaker.json_text import without_none
from local_sagemaker.types import Request, Response

MAX_ALIASES = 10


def add_aliases(connection: sqlite3.Connection, pipeline: str, version: int, aliases: Sequence[str]) -> None:
    """Add aliases to a version; an alias must be unique in its pipeline."""
    for alias in aliases:
        if alias.isdigit():
            raise ValidationException(f"Pipeline version alias '{alias}' can't consist of numbers only.")
        row = connection.execute(
            "SELECT version FROM aliases WHERE pipeline = ? AND alias = ?", (pipeline, alias)
        ).fetchone()
        if row is not None and row["version"] != version:
            raise ConflictException(
                f"Pipeline version alias '{alias}' is already assigned to version {row['version']} of '{pipeline}'."
            )
        connection.execute(
            "INSERT OR IGNORE INTO aliases (pipeline, alias, version, added)"
            " VALUES (?, ?, ?, (SELECT coalesce(max(added), 0) + 1 FROM aliases WHERE pipeline = ?))",
            (pipeline, alias, version, pipeline),
        )
    if len(lookup.aliases(connection, pipeline, version)) > MAX_ALIASES:
        raise ValidationException(f"A pipeline version can have up to {MAX_ALIASES} aliases.")


@action
def update_pipeline_version(context: Context, request: Request) -> Response:
    """Change a version's name, description and aliases; aliases are removed before others are added."""
    with context.db.write() as connection:
        found = lookup.pipeline(connection, request["PipelineArn"])
        version = lookup.version(connection, found, request["PipelineVersionId"], None)
        key = (found["arn"], version["version"])
        changes = request.get("PipelineVersionAliasOperations") or {}
        for alias in changes.get("Remove") or []:
            removed = connection.execute(
                "DELETE FROM aliases WHERE pipeline = ? AND version = ? AND alias = ?", (*key, alias)
            )
            if removed.rowcount == 0:
                raise ResourceNotFound(f"Version {key[1]} of pipeline '{key[0]}' has no alias '{alias}'.")
        add_aliases(connection, *key, changes.get("Add") or [])
        connection.execute(
            "UPDATE versions SET display_name = coalesce(?, display_name), description = coalesce(?, description)"
            " WHERE pipeline = ? AND version = ?",
            (request.get("PipelineVersionDisplayName"), request.get("PipelineVersionDescription"), *key),
        )
        return {"PipelineArn": found["arn"], "PipelineVersionId": version["version"]}


@action
def list_pipeline_versions(context: Context, request: Request) -> Response:
    """The versions of a pipeline, newest first by default."""
    connection = context.db.read()
    found = lookup.pipeline(connection, request["PipelineName"])
    query = Query("(SELECT *, version AS seq FROM versions)")
    query.add("pipeline = ?", found["arn"])
    query.add_range("created", request.get("CreatedAfter"), request.get("CreatedBefore"))
    descending = request.get("SortOrder", "Descending") == "Descending"
    rows, token = page(connection, query, request, sort="version", descending=descending)
    return {"PipelineVersionSummaries": [_summary(connection, row) for row in rows], **token}


def _summary(connection: sqlite3.Connection, row: sqlite3.Row) -> Response:
    return without_none(
        {
            "PipelineArn": row["pipeline"],
            "PipelineVersionId": row["version"],
            "CreationTime": row["created"],
            "PipelineVersionDescription": row["description"],
            "PipelineVersionDisplayName": row["display_name"],
            "LastExecutionPipelineExecutionArn": row["last_execution"],
            "PipelineVersionAliases": lookup.aliases(connection, row["pipeline"], row["version"]) or None,
        }
    )
