"""Promotions at the same time leave what promotions one after the other would have left."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.promote.decision import ApprovalStatus, Criteria, decide
from airflow_sagemaker.promote.simultaneous import Contender, find_overtaken

AUC = "Validation AUC ROC"
GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package/customers"
VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def contenders(values: list[float], first: int = 9) -> list[Contender]:
    """Packages of rising versions; 9 and 10 are compared as numbers."""
    return [Contender(f"{GROUP}/{first + place}", value) for place, value in enumerate(values)]


@given(st.one_of(st.none(), st.floats(0, 1)), VALUES, st.floats(0, 0.5), st.booleans(), st.randoms())
def test_what_stays_is_what_would_have_been_approved_one_after_the_other(
    champion: float | None, values: list[float], tolerance: float, is_higher_better: bool, shuffle: random.Random
) -> None:
    criteria = Criteria(AUC, is_higher_better, None, tolerance)
    approved = [value for value in values if decide(criteria, value, champion).status is ApprovalStatus.APPROVED]
    packages = contenders(approved)
    before, rejected = champion, []
    for package in packages:
        if decide(criteria, package.value, before).status is ApprovalStatus.APPROVED:
            before = package.value
        else:
            rejected.append(package)
    mixed = shuffle.sample(packages, len(packages))
    assert [lost.package for lost in find_overtaken(criteria, champion, mixed)] == rejected


def test_the_reason_names_the_version_that_it_lost_to() -> None:
    (lost,) = find_overtaken(Criteria(AUC, True, limit=0.9), None, contenders([0.8, 0.7]))
    assert (lost.package.value, lost.champion.value) == (0.7, 0.8)
    assert lost.reason == f"{AUC} 0.7, worse than the champion's 0.8: version 9, approved at the same time"


def test_a_package_without_the_metric_stays_and_what_follows_cannot_be_compared() -> None:
    packages = contenders([0.8, math.nan, 0.9])
    (lost,) = find_overtaken(Criteria(AUC, True), 0.7, packages)
    assert (lost.package, lost.champion) == (packages[2], packages[1])
    assert "cannot be compared" in lost.reason
    assert find_overtaken(Criteria(AUC, True), 0.7, [replace(packages[1]), packages[0]]) == []
