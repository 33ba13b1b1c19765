"""AddTags, ListTags, DeleteTags."""

from __future__ import annotations

import sqlite3

from local_sagemaker.actions.context import Context
from local_sagemaker.actions.registry import action
from local_sagemaker.errors import ResourceNotFound, ValidationException
from local_sagemaker.store import tags as tag_records
from local_sagemaker.types import Request, Response


def _known(connection: sqlite3.Connection, arn: str) -> str:
    for table in ("pipelines", "executions", "jobs", "resources"):
        row = connection.execute(f"SELECT arn FROM {table} WHERE arn = ?", (arn,)).fetchone()  # noqa: S608
        if row:
            return str(row["arn"])
    raise ResourceNotFound(f"Resource '{arn}' does not exist.")


@action
def add_tags(context: Context, request: Request) -> Response:
    """Add or overwrite tags."""
    with context.db.write() as connection:
        arn = _known(connection, request["ResourceArn"])
        tag_records.write(connection, arn, request["Tags"])
        return {"Tags": tag_records.read(connection, arn)}


@action
def list_tags(context: Context, request: Request) -> Response:
    """All tags of a resource, on one page, since there are at most 50."""
    if request.get("NextToken"):
        raise ValidationException("Invalid NextToken: this operation did not return it")
    connection = context.db.read()
    return {"Tags": tag_records.read(connection, _known(connection, request["ResourceArn"]))}


@action
def delete_tags(context: Context, request: Request) -> Response:
    """Remove tags; unknown keys are ignored."""
    with context.db.write() as connection:
        arn = _known(connection, request["ResourceArn"])
        for key in request["TagKeys"]:
            connection.execute("DELETE FROM tags WHERE arn = ? AND key = ?", (arn, key))
    return {}
