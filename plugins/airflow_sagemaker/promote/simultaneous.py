"""Promotions at the same time: the outcome is that of promotions one after the other, in the order of their versions.

UpdateModelPackage has no condition, so two promotions can both be approved in comparison with the champion before them.
Each therefore looks at the group once more after its approval: of two that were approved, at least the later one sees
both. A version that is worse than the one before it, by more than the tolerance, is then rejected by the promotion that
sees it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.model_registry import version_of
from airflow_sagemaker.promote.decision import ApprovalStatus, Criteria, decide
from airflow_sagemaker.promote.judged import Judged, Pause, approval_description, is_settled_by_a_person
from airflow_sagemaker.promote.model_package import value_in

if TYPE_CHECKING:
    from airflow_sagemaker.aws.model_registry import ModelRegistry, Summary


@dataclass(frozen=True)
class Contender:
    """An approved package and its metric, NaN where it has none."""

    arn: str
    value: float


@dataclass(frozen=True)
class Overtaken:
    """A package that was approved too early, and the one that it should have been compared with."""

    package: Contender
    champion: Contender
    reason: str


def settle(registry: ModelRegistry, criteria: Criteria, judged: Judged, *, same_rows: bool) -> Judged | Pause:
    """Return the final result, given the models that were approved since the champion was read.

    One call. If there are such models, one more for each package that is rejected after all, and one to look at a
    package of another task before that. With `same_rows`, the metrics of the others are those of other rows: the
    package is pending again, and the pause leads to a comparison with the newest of them.
    """
    own, champion = version_of(judged.arn), version_of(judged.champion_arn)
    if champion > own:
        registry.aws.log.warning(
            "%s is approved, but %s is newer and stays the champion", judged.arn, judged.champion_arn
        )
        return judged
    others = registry.approved_after(champion, but=judged.arn)
    if same_rows:
        if all(version_of(one.arn) > own for one in others):
            return judged
        reason = f"{judged.reason}; compared again with a model that was approved at the same time"
        registry.set_status(judged.arn, ApprovalStatus.PENDING, approval_description(ApprovalStatus.PENDING, reason))
        return Pause(None)
    contenders = [Contender(judged.arn, judged.scores.value)]
    contenders += [_contender(registry, one, criteria.metric) for one in others]
    for lost in find_overtaken(criteria, judged.scores.champion, contenders):
        if lost.package.arn == judged.arn:
            registry.set_status(
                judged.arn, ApprovalStatus.REJECTED, approval_description(ApprovalStatus.REJECTED, lost.reason)
            )
            scores = replace(judged.scores, champion=lost.champion.value)
            judged = Judged(judged.arn, ApprovalStatus.REJECTED, lost.reason, scores, lost.champion.arn)
        else:
            _reject(registry, lost)
    return judged


def find_overtaken(criteria: Criteria, champion: float | None, contenders: Iterable[Contender]) -> list[Overtaken]:
    """Return the packages that would be Rejected if the promotions had run one after the other.

    `champion` is the value of the package that all were compared with, None if there was none. The limit of `criteria`
    isn't applied: others may have been judged by another one. A package without the metric stays, and whatever follows
    it cannot be compared.
    """
    found = []
    rule = replace(criteria, limit=None)
    before: Contender | None = None
    for one in sorted(contenders, key=lambda one: version_of(one.arn)):
        decision = decide(rule, one.value, before.value if before else champion)
        if before is not None and not math.isnan(one.value) and decision.status is ApprovalStatus.REJECTED:
            reason = f"{decision.reason}: version {version_of(before.arn)}, approved at the same time"
            found.append(Overtaken(one, before, reason))
        else:
            before = one
    return found


def _contender(registry: ModelRegistry, package: Summary, metric: str) -> Contender:
    """Return a package with its metric: what its description says, else one call."""
    value = value_in(package.description, metric)
    if value is None:
        found = registry.describe(package.arn)
        value = found.metric(metric) if found else None
    return Contender(package.arn, math.nan if value is None else value)


def _reject(registry: ModelRegistry, lost: Overtaken) -> None:
    """Set another task's package to Rejected, unless a person has decided about it or its own task was faster."""
    found = registry.describe(lost.package.arn)
    if found is None or found.status != ApprovalStatus.APPROVED or is_settled_by_a_person(found):
        return
    registry.aws.log.warning("%s: Rejected (%s)", found.arn, lost.reason)
    registry.set_status(found.arn, ApprovalStatus.REJECTED, approval_description(ApprovalStatus.REJECTED, lost.reason))
