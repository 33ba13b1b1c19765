"""Values that are text in a request, and have a type in the definition."""

from __future__ import annotations

import re
from typing import TypeAlias

TypedValue: TypeAlias = str | int | float | bool
"""A value of one of TYPES."""

TYPES: dict[str, tuple[type, ...]] = {"String": (str,), "Integer": (int,), "Float": (int, float), "Boolean": (bool,)}
"""The types of parameters and of output parameters."""

_NUMBER = {
    "Integer": re.compile(r"[+-]?[0-9]+"),
    "Float": re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"),
}


def from_text(kind: str, text: str) -> TypedValue:
    """Parse a value of one of TYPES; ValueError if it is not valid."""
    if kind == "String":
        return text
    if kind == "Boolean":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    # Python also accepts underscores, spaces and non-ASCII digits
    if not _NUMBER[kind].fullmatch(text):
        raise ValueError(text)
    value: int | float = int(text) if kind == "Integer" else float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value
