"""Tags in the database, for any resource with an ARN."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from local_sagemaker.errors import ValidationException

MAX_TAGS = 50


def write(connection: sqlite3.Connection, arn: str, tags: Sequence[dict[str, str]]) -> None:
    """Add tags to a resource; the value of an existing key is replaced."""
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


def read(connection: sqlite3.Connection, arn: str) -> list[dict[str, str]]:
    """The tags of a resource, by key."""
    rows = connection.execute("SELECT key, value FROM tags WHERE arn = ? ORDER BY key", (arn,))
    return [{"Key": row["key"], "Value": row["value"]} for row in rows]
