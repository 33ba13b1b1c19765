"""The search for the partition where a metric became lastingly worse, and for single days."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.promote.metric_watch import describe_last, find_change, find_outliers

AUC = "Validation AUC ROC"


def days(*levels: tuple[int, float], noise: float = 0.002) -> list[float]:
    source = random.Random(7)
    return [level + source.uniform(-noise, noise) for count, level in levels for _ in range(count)]


@pytest.mark.parametrize(
    ("values", "place"),
    [
        (days((20, 0.75), (8, 0.70)), 20),
        (days((20, 0.75)), None),
        (days((20, 0.70), (8, 0.75)), None),  # better
        (days((20, 0.75), (2, 0.60)), None),  # too few to call it lasting
        (days((10, 0.75), (1, 0.5), (10, 0.75)), None),  # one bad day
        (days((9, 0.9), (9, 0.8), (9, 0.4)), 18),  # the larger one of two
    ],
)
def test_where_a_metric_became_lastingly_worse(values: list[float], place: int | None) -> None:
    found = find_change(values)
    assert (found.index if found else None) == place
    mirrored = find_change([-value for value in values], higher_is_better=False)
    assert (mirrored.index if mirrored else None) == place


@pytest.mark.parametrize(
    ("values", "index"),
    [
        ([0.71, 0.72] * 10 + [0.65, 0.66] * 10, 20),
        ([0.71, None] * 10 + [0.6, None] * 10, 20),
        ([0.70, 0.75] * 10 + [0.69, 0.74] * 10, None),  # no more than the usual spread
        ([0.71] * 3, None),
        ([], None),
    ],
)
def test_a_change_is_lasting_and_for_the_worse(values: list[float | None], index: int | None) -> None:
    found = find_change(values)
    assert (found.index if found else None) == index


def test_what_is_no_number_is_skipped() -> None:
    values: list[float | None] = [*days((20, 0.75), (8, 0.70))]
    values[3], values[22] = None, float("nan")
    found = find_change(values)
    assert found is not None
    assert found.index == 20


def test_single_days() -> None:
    values = days((10, 0.75), (1, 0.60), (10, 0.75))
    assert find_outliers(values) == [10]
    assert find_outliers(values[:6]) == []


@given(st.lists(st.floats(0.5, 1), max_size=40), st.floats(0.1, 10))
def test_the_unit_of_a_metric_does_not_matter(values: list[float], scale: float) -> None:
    one, other = find_change(values), find_change([value * scale for value in values])
    if one is not None and one.score > 4.01 and other is not None:
        assert abs(one.score - other.score) < 1e-3 * one.score


def test_a_change_is_told_once() -> None:
    values = days((20, 0.75), (10, 0.70))
    names = [f"day {number:02}" for number in range(len(values))]
    told = [
        (number, text)
        for number in range(1, len(values) + 1)
        for text in describe_last(AUC, names[:number], values[:number], higher_is_better=True)
        if "has been worse" in text
    ]
    assert len(told) == 1
    assert any(f"since day {day}" in told[0][1] for day in (18, 19, 20)), "three of five values already tell"


def test_a_bad_day_is_told_on_that_day_and_a_good_one_never() -> None:
    for level, expected in ((0.6, 1), (0.9, 0)):
        values = days((10, 0.75), (1, level))
        names = [str(number) for number in range(11)]
        assert len(describe_last(AUC, names, values, higher_is_better=True)) == expected
