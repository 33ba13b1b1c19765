"""Conditions: the comparisons of a Condition step, with And, Or and Not."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from local_sagemaker.definition.problem import Problem
from local_sagemaker.definition.values import Scope, UnresolvedError, as_text, resolve

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
TYPES = (*_COMPARE, "In", "Not", "Or", "And")
_MEMBERS = {
    **dict.fromkeys(_COMPARE, ("LeftValue", "RightValue")),
    "In": ("QueryValue", "Values"),
    "Not": ("Expression",),
    "Or": ("Conditions",),
    "And": ("Conditions",),
}


def check_condition(condition: Any, where: str) -> None:
    """Check the form of a condition; raises Problem."""
    if not isinstance(condition, dict) or condition.get("Type") not in TYPES:
        found = condition.get("Type") if isinstance(condition, dict) else condition
        raise Problem(f"Type of a condition in {where} must be one of {', '.join(TYPES)}, found {str(found)[:100]!r}")
    kind = condition["Type"]
    missing = [member for member in _MEMBERS[kind] if member not in condition]
    unknown = sorted(set(condition) - {"Type", *_MEMBERS[kind]})
    if missing or unknown:
        text = f"misses '{missing[0]}'" if missing else f"has the unknown member '{unknown[0][:200]}'"
        raise Problem(f"The {kind} condition in {where} {text}")
    if kind == "Not":
        check_condition(condition["Expression"], where)
    elif kind in ("Or", "And"):
        if not isinstance(condition["Conditions"], list) or not condition["Conditions"]:
            raise Problem(f"Conditions of the {kind} condition in {where} must be a list with at least one condition")
        for inner in condition["Conditions"]:
            check_condition(inner, where)
    elif kind == "In" and not isinstance(condition["Values"], list):
        raise Problem(f"Values of the In condition in {where} must be a list")


def holds(condition: dict[str, Any], scope: Scope) -> bool:
    """Evaluate a condition; raises UnresolvedError when its values cannot be had or compared."""
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition["Expression"], scope)
    if kind in ("Or", "And"):
        outcomes = (holds(inner, scope) for inner in condition["Conditions"])
        return any(outcomes) if kind == "Or" else all(outcomes)
    return _compares(condition, scope)


def _compares(condition: dict[str, Any], scope: Scope) -> bool:
    kind = condition["Type"]
    if kind == "In":
        query = resolve(condition["QueryValue"], scope)
        return any(_same(query, resolve(value, scope)) for value in condition["Values"])
    left, right = resolve(condition["LeftValue"], scope), resolve(condition["RightValue"], scope)
    if kind == "Equals":
        return _same(left, right)
    if not _is_number(left) or not _is_number(right):
        if isinstance(left, str) and isinstance(right, str):
            return _COMPARE[kind](left, right)
        raise UnresolvedError(f"{kind} cannot compare '{as_text(left)[:100]}' with '{as_text(right)[:100]}'")
    return _COMPARE[kind](left, right)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool) and left == right
    if _is_number(left) and _is_number(right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)
