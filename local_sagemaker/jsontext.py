"""JSON as the database keeps it: timestamps as seconds since the epoch."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any


def plain(value: Any) -> Any:
    """A value with every datetime turned into seconds (a naive one is taken as UTC)."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return round(aware.timestamp(), 3)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def dumps(value: Any) -> str:
    """Compact text with a fixed key order, so that equal values have equal text."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"))


def without_none(value: dict[str, Any]) -> dict[str, Any]:
    """A dict without the members that have no value."""
    return {key: item for key, item in value.items() if item is not None}
