"""JSON in requests and in the database, where timestamps are seconds since the epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from local_sagemaker.types import JsonValue

_T = TypeVar("_T")


def with_epoch_seconds(value: object) -> object:
    """Replace every datetime in a value with seconds since the epoch; naive ones are UTC."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return round(aware.timestamp(), 3)
    if isinstance(value, dict):
        return {key: with_epoch_seconds(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_epoch_seconds(item) for item in value]
    return value


def dumps(value: object) -> str:
    """Compact JSON with sorted keys, so that equal values have equal text."""
    return json.dumps(with_epoch_seconds(value), sort_keys=True, separators=(",", ":"))


def without_none(value: Mapping[str, _T | None]) -> dict[str, _T]:
    """A dict without the members that are None."""
    return {key: item for key, item in value.items() if item is not None}


def loads(text: str) -> JsonValue:
    """Parse strict JSON; ValueError for NaN, infinities, and text that cannot be encoded in UTF-8."""
    try:
        value: JsonValue = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"it contains half of a surrogate pair ({error.object[error.start]!r})") from None
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:50]} is too large")
    return value
