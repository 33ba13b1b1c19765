"""AddTags, ListTags, DeleteTags."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from local_sagemaker.actions.registry import action
from local_sagemaker.context import Context, Request, Response
from local_sagemaker.errors import ResourceNotFound, ValidationException

MAX_TAGS = 50


def put(connection: sqlite3.Connection, arn: str, tags: Sequence[dict[str, str]]) -> None:
    """Add tags to a resource; an existing key gets the new value."""
    for tag in tags:
        if tag["Key"].lower().startswith("aws:"):
            raise ValidationException(f"Tag key '{tag['Key']}' can't begin with aws:, which is reserved.")
        connection.execute(
            "INSERT INTO tags VALUES (?, ?, ?) ON CONFLICT (arn, key) DO UPDATE SET value = excluded.value",
            (arn, tag["Key"], tag["Value"]),
        )
    count = connection.execute("SELECT count(*) FROM tags WHERE arn = ?", (arn,)).fetchone()[0]
    if count > MAX_TAGS:
        raise ValidationException(f"A resource can have at most {MAX_TAGS} tags, this request makes it {count}.")


def of(connection: sqlite3.Connection, arn: str) -> list[dict[str, str]]:
    """The tags of a resource, by key."""
    rows = connection.execute("SELECT key, value FROM tags WHERE arn = ? ORDER BY key", (arn,))
    return [{"Key": row["key"], "Value": row["value"]} for row in rows]


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
        put(connection, arn, request["Tags"])
        return {"Tags": of(connection, arn)}


@action
def list_tags(context: Context, request: Request) -> Response:
    """All tags of a resource; at most 50, so one page holds them."""
    connection = context.db.read()
    return {"Tags": of(connection, _known(connection, request["ResourceArn"]))}


@action
def delete_tags(context: Context, request: Request) -> Response:
    """Remove tags; a key that is not there is no error."""
    with context.db.write() as connection:
        arn = _known(connection, request["ResourceArn"])
        for key in request["TagKeys"]:
            connection.execute("DELETE FROM tags WHERE arn = ? AND key = ?", (arn, key))
    return {}
