"""Which model becomes the champion: a test for each row of `decide`'s table, and what holds for all numbers."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.exceptions import ConfigurationError
from airflow_sagemaker.promote.decision import ApprovalStatus, Criteria, decide, higher_is_better

AUC, LOSS = "Validation AUC ROC", "Validation Loss"
NAN = math.nan
ROWS: dict[int, list[tuple[dict[str, Any], float, float | None, ApprovalStatus, str]]] = {
    1: [
        ({}, NAN, None, ApprovalStatus.REJECTED, "is not a number"),
        ({"approval": "manual"}, NAN, 0.5, ApprovalStatus.REJECTED, "is not a number"),
    ],
    2: [
        ({"limit": 0.7}, 0.699, None, ApprovalStatus.REJECTED, "must be at least 0.7"),
        ({"limit": 0.7, "approval": "manual"}, 0.6, 0.5, ApprovalStatus.REJECTED, "must be at least 0.7"),
    ],
    3: [
        ({}, 0.7, NAN, ApprovalStatus.REJECTED, "cannot be compared with the champion's nan"),
        ({"approval": "manual"}, 0.7, NAN, ApprovalStatus.REJECTED, "cannot be compared"),
    ],
    4: [
        ({"limit": 0.5}, 0.7, 0.71, ApprovalStatus.REJECTED, "worse than the champion's 0.71"),
        ({"tolerance": 0.01}, 0.7, 0.72, ApprovalStatus.REJECTED, r"0.72 \(tolerance 0.01\)"),
        ({"approval": "manual"}, 0.7, 0.71, ApprovalStatus.REJECTED, "worse than the champion's 0.71"),
    ],
    5: [
        ({"approval": "manual"}, 0.7, None, ApprovalStatus.PENDING, "not compared"),
        ({"approval": "manual"}, 0.7, 0.6, ApprovalStatus.PENDING, "champion 0.6"),
    ],
    6: [
        ({}, 0.7, None, ApprovalStatus.APPROVED, "not compared"),
        ({"limit": 0.7}, 0.7, 0.7, ApprovalStatus.APPROVED, "champion 0.7"),
        ({"tolerance": 0.02}, 0.7, 0.71, ApprovalStatus.APPROVED, r"champion 0.71 \(tolerance 0.02\)"),
    ],
}
CASES = [
    pytest.param(*case, id=f"row {row}.{place}") for row, cases in ROWS.items() for place, case in enumerate(cases)
]
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6)


@pytest.mark.parametrize(("changes", "value", "champion", "status", "reason"), CASES)
def test_each_row(changes: Any, value: float, champion: float | None, status: ApprovalStatus, reason: str) -> None:
    decision = decide(Criteria(AUC, higher_is_better=True, **changes), value, champion)
    assert decision.status is status
    assert re.search(reason, decision.reason), decision.reason


def test_every_row_of_the_table_has_a_test() -> None:
    assert [int(number) for number in re.findall(r"^ *\| (\d+) \|", decide.__doc__ or "", re.MULTILINE)] == list(ROWS)


@given(NUMBERS, st.one_of(st.none(), NUMBERS), st.one_of(st.none(), NUMBERS), st.floats(0, 10))
def test_a_metric_where_lower_is_better_is_the_mirror(
    value: float, champion: float | None, limit: float | None, tolerance: float
) -> None:
    def turned(number: float | None) -> float | None:
        return None if number is None else -number

    up = decide(Criteria(AUC, True, limit, tolerance), value, champion)
    down = decide(Criteria(LOSS, False, turned(limit), tolerance), -value, turned(champion))
    assert up.status is down.status


@given(NUMBERS, NUMBERS, st.floats(0, 10))
def test_a_better_model_is_never_rejected_where_a_worse_one_is_approved(one: float, other: float, tol: float) -> None:
    low, high = sorted((one, other))
    criteria = Criteria(AUC, True, None, tol)
    if decide(criteria, low, 0.0).status is ApprovalStatus.APPROVED:
        assert decide(criteria, high, 0.0).status is ApprovalStatus.APPROVED


def test_the_directions_of_known_metrics_need_not_be_given() -> None:
    assert higher_is_better(AUC, None, {AUC: 0.7})
    assert not higher_is_better(LOSS, None, {LOSS: 0.7})


@pytest.mark.parametrize(
    ("metric", "measured", "message"),
    [
        ("Validation AUC", {AUC: 0.7}, f"did you mean '{AUC}'"),
        ("accuracy", {}, "the training reported none"),
        ("accuracy", {"accuracy": 0.9}, "set higher_is_better"),
    ],
)
def test_a_metric_that_cannot_decide_is_refused(metric: str, measured: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        higher_is_better(metric, None, measured)
