"""The step cache: an earlier result of the same pipeline, step and arguments.

The key holds what the service compares: for Training AlgorithmSpecification, CheckpointConfig, Debug*, Environment,
HyperParameters and InputDataConfig; output path and ResourceConfig are not in it. Source: the service's guide, "Default
cache key attributes by pipeline step type".
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any

from local_sagemaker.identifiers import now
from local_sagemaker.json_text import dumps

_KEYED: dict[str, tuple[str, ...]] = {
    "Training": (
        "AlgorithmSpecification", "CheckpointConfig", "DebugHookConfig", "DebugRuleConfigurations", "Environment",
        "HyperParameters", "InputDataConfig",
    ),
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
}  # fmt: skip


def key(pipeline: str, step: str, kind: str, request: dict[str, Any]) -> str:
    """The name of a result: equal for equal work."""
    keyed = {member: request.get(member) for member in _KEYED[kind]}
    return hashlib.sha256(dumps([pipeline, step, kind, keyed]).encode()).hexdigest()


def find(connection: sqlite3.Connection, cache_key: str, max_days: float) -> sqlite3.Row | None:
    """The newest success with that key that is not too old; one that was itself a hit does not count."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM steps WHERE cache_key = ? AND status = 'Succeeded' AND cache_source IS NULL AND ended >= ?"
        " ORDER BY ended DESC LIMIT 1",
        (cache_key, now() - max_days * 86400),
    ).fetchone()
    return row
