"""Whether a model becomes the champion: one pure function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Literal

from airflow_sagemaker.contract import METRICS
from airflow_sagemaker.exceptions import ConfigurationError, Violation

CHAMPION = "champion"
Approval = Literal["automatic", "manual"]
APPROVALS: tuple[Approval, ...] = ("automatic", "manual")


class ApprovalStatus(StrEnum):
    """SageMaker's ModelApprovalStatus."""

    APPROVED = "Approved"
    REJECTED = "Rejected"
    PENDING = "PendingManualApproval"


@dataclass(frozen=True)
class Criteria:
    """What a model must reach; `limit` is the worst accepted value, in the metric's direction."""

    metric: str
    higher_is_better: bool
    limit: float | None = None
    tolerance: float = 0.0
    """By how much the model may be worse than the champion."""
    approval: Approval = "automatic"


@dataclass(frozen=True)
class Decision:
    """The status of a package, and the reason with the numbers."""

    status: ApprovalStatus
    reason: str


def decide(criteria: Criteria, value: float, champion: float | None) -> Decision:
    """Judge a model by its metric's value and that of the champion (None if there is none, or it is not compared).

    The first matching row decides; "worse" follows the metric's direction:

    | # | value | champion | approval | status |
    |---|---|---|---|---|
    | 1 | NaN | any | any | Rejected |
    | 2 | worse than `limit` | any | any | Rejected |
    | 3 | any other | NaN | any | Rejected |
    | 4 | worse than the champion's by more than `tolerance` | a number | any | Rejected |
    | 5 | any other | none, or not better by more than `tolerance` | manual | PendingManualApproval |
    | 6 | any other | none, or not better by more than `tolerance` | automatic | Approved |
    """
    found = f"{criteria.metric} {value:g}"
    sign = 1 if criteria.higher_is_better else -1
    if math.isnan(value):
        return Decision(ApprovalStatus.REJECTED, f"{found} is not a number")
    if criteria.limit is not None and sign * value < sign * criteria.limit:
        word = "at least" if criteria.higher_is_better else "at most"
        return Decision(ApprovalStatus.REJECTED, f"{found}, must be {word} {criteria.limit:g}")
    within = f" (tolerance {criteria.tolerance:g})" if criteria.tolerance else ""
    if champion is None:
        reason = f"{found}, not compared with a champion"
    elif math.isnan(champion):
        return Decision(ApprovalStatus.REJECTED, f"{found}, cannot be compared with the champion's nan")
    elif sign * value < sign * champion - criteria.tolerance:
        return Decision(ApprovalStatus.REJECTED, f"{found}, worse than the champion's {champion:g}{within}")
    else:
        reason = f"{found}, champion {champion:g}{within}"
    manual = criteria.approval == "manual"
    return Decision(ApprovalStatus.PENDING if manual else ApprovalStatus.APPROVED, reason)


def read_criteria(
    metric: str, measured: Mapping[str, float], given: Mapping[str, Any], *, is_higher_better: bool | None
) -> Criteria:
    """Return the criteria from the operator's arguments, after their templates were rendered.

    Raises ConfigurationError with everything that is wrong about them.
    """
    violations = []
    numbers: dict[str, float | None] = {}
    for name in ("min_value", "max_value", "tolerance"):
        try:
            numbers[name] = None if given[name] in (None, "", "None") else float(given[name])
        except (TypeError, ValueError):
            violations.append(Violation(name, given[name], "must be a number"))
    for name in ("min_value", "max_value"):
        if math.isnan(numbers.get(name) or 0.0):
            violations.append(Violation(name, given[name], "must be a number"))
    tolerance = numbers.get("tolerance") or 0.0
    if not 0 <= tolerance < math.inf:
        violations.append(Violation("tolerance", tolerance, "must be a number, 0 or more"))
    if given["better_than"] not in (CHAMPION, None, "None"):
        violations.append(Violation("better_than", given["better_than"], f"must be {CHAMPION!r} or None"))
    if given["approval"] not in APPROVALS:
        violations.append(Violation("approval", given["approval"], f"must be {' or '.join(APPROVALS)}"))
    direction = higher_is_better(metric, is_higher_better, measured)
    wrong = "max_value" if direction else "min_value"
    if numbers.get(wrong) is not None:
        rule = f"has no effect on {metric}, where {'higher' if direction else 'lower'} is better"
        hint = f"use {'min_value' if direction else 'max_value'}"
        violations.append(Violation(wrong, numbers[wrong], rule, hint))
    if violations:
        raise ConfigurationError(violations, what="promotion")
    limit = numbers.get("min_value" if direction else "max_value")
    return Criteria(metric, direction, limit, tolerance, given["approval"])


def higher_is_better(metric: str, given: bool | None, measured: Mapping[str, float]) -> bool:
    """Return the direction of a metric that the model was measured by.

    Raises ConfigurationError for a metric that the training did not report, and for a user's own metric without a
    direction.
    """
    if metric not in measured:
        near = get_close_matches(metric, list(measured), n=1)
        there = ", ".join(sorted(measured)) or "none"
        hint = f"did you mean {near[0]!r}?" if near else f"the training reported {there}"
        raise ConfigurationError([Violation("metric", metric, "is not a metric of this model", hint)], what="promotion")
    known = {known.name: known.higher_is_better for known in METRICS}
    direction = known.get(metric, given)
    if direction is None:
        rule = "is not one of the shipped metrics, so its direction is not known"
        raise ConfigurationError(
            [Violation("metric", metric, rule, "set higher_is_better to True or False")], what="promotion"
        )
    return direction
