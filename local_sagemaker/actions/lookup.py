"""Finds the resources that requests name, or raises ResourceNotFound."""

from __future__ import annotations

import sqlite3

from local_sagemaker.errors import ResourceNotFound, ValidationException
from local_sagemaker.identifiers import pipeline_arn, sagemaker_arn
from local_sagemaker.types import Request


def pipeline(connection: sqlite3.Connection, name_or_arn: str) -> sqlite3.Row:
    """The pipeline with that name or ARN in the caller's region; case is ignored."""
    arn = name_or_arn if name_or_arn.startswith("arn:") else pipeline_arn(name_or_arn)
    row = connection.execute("SELECT * FROM pipelines WHERE arn = ? COLLATE NOCASE", (arn,)).fetchone()
    if row is None or not is_here(arn):
        raise ResourceNotFound(f"Pipeline '{arn}' does not exist.")
    return row  # type: ignore[no-any-return]


def version(connection: sqlite3.Connection, found: sqlite3.Row, number: int | None, alias: str | None) -> sqlite3.Row:
    """A pipeline's version by number or alias, by default the latest."""
    if number is not None and alias is not None:
        raise ValidationException("You can't specify both PipelineVersionId and PipelineVersionAlias.")
    if alias is not None:
        row = connection.execute(
            "SELECT v.* FROM versions v JOIN aliases a USING (pipeline, version) WHERE a.pipeline = ? AND a.alias = ?",
            (found["arn"], alias),
        ).fetchone()
        missing = f"Pipeline version with alias '{alias}' does not exist in pipeline '{found['arn']}'."
    elif number is not None:
        row = connection.execute(
            "SELECT * FROM versions WHERE pipeline = ? AND version = ?", (found["arn"], number)
        ).fetchone()
        missing = f"Pipeline version '{number}' does not exist in pipeline '{found['arn']}'."
    else:
        row = connection.execute(
            "SELECT * FROM versions WHERE pipeline = ? ORDER BY version DESC LIMIT 1", (found["arn"],)
        ).fetchone()
        missing = f"Pipeline '{found['arn']}' has no version."
    if row is None:
        raise ResourceNotFound(missing)
    return row  # type: ignore[no-any-return]


def aliases(connection: sqlite3.Connection, arn: str, number: int) -> list[str]:
    """The aliases of a version, in the order in which they were added."""
    rows = connection.execute(
        "SELECT alias FROM aliases WHERE pipeline = ? AND version = ? ORDER BY added, alias", (arn, number)
    )
    return [row["alias"] for row in rows]


def execution(connection: sqlite3.Connection, arn: str) -> sqlite3.Row:
    """The execution with that ARN in the caller's region."""
    row = connection.execute("SELECT * FROM executions WHERE id = ?", (arn.rsplit("/", 1)[-1].lower(),)).fetchone()
    if row is None or row["arn"].lower() != arn.lower() or not is_here(arn):
        raise ResourceNotFound(f"Pipeline execution with ARN '{arn}' does not exist.")
    return row  # type: ignore[no-any-return]


def is_here(arn: str) -> bool:
    """Whether an ARN is in the caller's region."""
    return arn.lower().startswith(sagemaker_arn("").lower())


def parallelism(value: int | None) -> dict[str, int] | None:
    """ParallelismConfiguration, or None."""
    return None if value is None else {"MaxParallelExecutionSteps": value}


def parallelism_of(request: Request) -> int | None:
    """The number inside a request's ParallelismConfiguration, or None."""
    number: int | None = (request.get("ParallelismConfiguration") or {}).get("MaxParallelExecutionSteps")
    return number
