"""The step cache: an earlier result of the same pipeline, step and arguments."""

from __future__ import annotations

import hashlib
import sqlite3

from local_sagemaker.identifiers import now
from local_sagemaker.json_text import dumps
from local_sagemaker.types import JsonMapping


def key(pipeline: str, step: str, step_type: str, compared: JsonMapping) -> str:
    """The cache key of a step: equal if the result would be equal."""
    return hashlib.sha256(dumps([pipeline, step, step_type, compared]).encode()).hexdigest()


def find(connection: sqlite3.Connection, cache_key: str, max_days: float) -> sqlite3.Row | None:
    """The newest successful step with that key that is not too old, cache hits excluded; None if there is none."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM steps WHERE cache_key = ? AND status = 'Succeeded' AND cache_source IS NULL AND ended >= ?"
        " ORDER BY ended DESC LIMIT 1",
        (cache_key, now() - max_days * 86400),
    ).fetchone()
    return row
