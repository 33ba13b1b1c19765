"""The condition types: `CONDITION_TYPES` defines the members and the evaluation of each."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard

from local_sagemaker.expressions.problem import Problem
from local_sagemaker.expressions.values import Scope, UnresolvedError, as_text, resolve
from local_sagemaker.types import JsonObject, JsonValue

Condition = JsonObject


@dataclass(frozen=True)
class ConditionType:
    """A condition type."""

    evaluate: Callable[[Condition, Scope], bool]
    values: tuple[str, ...] = ()
    """Members with a value or an expression."""
    lists: tuple[str, ...] = ()
    """Members with a list of values."""
    inner: tuple[str, ...] = ()
    """Members with a condition."""
    inner_lists: tuple[str, ...] = ()
    """Members with a list of at least one condition."""

    @property
    def members(self) -> tuple[str, ...]:
        """All members except Type; each is required."""
        return (*self.values, *self.lists, *self.inner, *self.inner_lists)


def check_condition(condition: object, where: str) -> None:
    """Check the structure of a condition; raises Problem."""
    name = condition.get("Type") if isinstance(condition, dict) else condition
    if not isinstance(condition, dict) or not isinstance(name, str) or name not in CONDITION_TYPES:
        known = ", ".join(CONDITION_TYPES)
        raise Problem(f"Type of a condition in {where} must be one of {known}, found {str(name)[:100]!r}")
    type_ = CONDITION_TYPES[name]
    missing = [member for member in type_.members if member not in condition]
    unknown = sorted(set(condition) - {"Type", *type_.members})
    if missing or unknown:
        text = f"misses '{missing[0]}'" if missing else f"has the unknown member '{unknown[0][:200]}'"
        raise Problem(f"The {name} condition in {where} {text}")
    for member in type_.lists:
        if not isinstance(condition[member], list):
            raise Problem(f"{member} of the {name} condition in {where} must be a list")
    for member in type_.inner:
        check_condition(condition[member], where)
    for member in type_.inner_lists:
        if not isinstance(condition[member], list) or not condition[member]:
            raise Problem(f"{member} of the {name} condition in {where} must be a list with at least one condition")
        for inner in condition[member]:
            check_condition(inner, where)


def evaluate(condition: Condition, scope: Scope) -> bool:
    """Whether a condition is true; raises UnresolvedError if a value is missing or cannot be compared."""
    return CONDITION_TYPES[condition["Type"]].evaluate(condition, scope)


def _all(condition: Condition, scope: Scope) -> bool:
    return all(evaluate(inner, scope) for inner in condition["Conditions"])


def _any(condition: Condition, scope: Scope) -> bool:
    return any(evaluate(inner, scope) for inner in condition["Conditions"])


def _not(condition: Condition, scope: Scope) -> bool:
    return not evaluate(condition["Condition"], scope)


def _in(condition: Condition, scope: Scope) -> bool:
    query = resolve(condition["QueryValue"], scope)
    return any(_same(query, resolve(value, scope)) for value in condition["Values"])


def _equals(condition: Condition, scope: Scope) -> bool:
    return _same(*_sides(condition, scope))


def _ordered(compare: Callable[[Any, Any], bool], condition: Condition, scope: Scope) -> bool:
    left, right = _sides(condition, scope)
    both_texts = isinstance(left, str) and isinstance(right, str)
    if not both_texts and not (_is_number(left) and _is_number(right)):
        sides = f"'{as_text(left)[:100]}' with '{as_text(right)[:100]}'"
        raise UnresolvedError(f"{condition['Type']} cannot compare {sides}")
    return compare(left, right)


def _sides(condition: Condition, scope: Scope) -> tuple[JsonValue, JsonValue]:
    return resolve(condition["LeftValue"], scope), resolve(condition["RightValue"], scope)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(left: object, right: object) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool) and left == right
    if _is_number(left) and _is_number(right):
        return left == right
    return type(left) is type(right) and left == right


_SIDES = ("LeftValue", "RightValue")
CONDITION_TYPES = {
    "Equals": ConditionType(_equals, values=_SIDES),
    "GreaterThan": ConditionType(partial(_ordered, operator.gt), values=_SIDES),
    "GreaterThanOrEqualTo": ConditionType(partial(_ordered, operator.ge), values=_SIDES),
    "LessThan": ConditionType(partial(_ordered, operator.lt), values=_SIDES),
    "LessThanOrEqualTo": ConditionType(partial(_ordered, operator.le), values=_SIDES),
    "In": ConditionType(_in, values=("QueryValue",), lists=("Values",)),
    "Not": ConditionType(_not, inner=("Condition",)),
    "Or": ConditionType(_any, inner_lists=("Conditions",)),
    "And": ConditionType(_all, inner_lists=("Conditions",)),
}
"""By the condition's Type."""
