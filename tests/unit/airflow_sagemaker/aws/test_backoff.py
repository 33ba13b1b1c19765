"""The pauses between attempts."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.aws.backoff import jittered_pauses
from tests.support.waiting import wait_until


@given(first=st.floats(0.1, 5), longest=st.floats(5, 60), count=st.integers(1, 40))
def test_pauses_double_up_to_the_longest_and_are_shortened_by_half_at_most(
    first: float, longest: float, count: int
) -> None:
    pauses = jittered_pauses(within=1e9, first=first, longest=longest)
    for number in range(count):
        full = min(longest, first * 2**number)
        assert full / 2 <= next(pauses) <= full


def test_no_pause_begins_that_would_end_after_the_limit() -> None:
    assert list(jittered_pauses(within=0.4, first=0.5)) == []
    assert list(jittered_pauses(within=0.0, first=0.1)) == []


def test_the_limit_counts_from_the_call_and_not_from_the_first_pause() -> None:
    pauses = jittered_pauses(within=0.3, first=0.01)
    end = time.monotonic() + 0.3
    wait_until(lambda: time.monotonic() > end, "the end of an attempt that takes all of the time")
    assert list(pauses) == []
