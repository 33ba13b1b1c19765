from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.errors import WindowError
from preprocessing.window import MIN_TRAIN_DAYS, Window, parse_partition

DAY = timedelta(days=1)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    val, test = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    days = draw(st.integers(val + test + MIN_TRAIN_DAYS, 330))
    partition = draw(st.dates(date(2014, 6, 1), date(2100, 1, 1)))
    return Window(partition, days, val, test, start=draw(st.none() | st.just(date(2013, 1, 1))))


@given(windows())
def test_splits_are_disjoint_complete_and_in_order_of_time(window: Window) -> None:
    splits = window.splits()
    assert list(splits) == ["train", "val", "test"]
    expected_first = window.first
    for first, last in splits.values():
        assert first == expected_first
        assert last >= first
        expected_first = last + DAY
    assert splits["test"][1] == window.partition


@given(windows(), st.integers(0, 60))
def test_dates_are_exactly_the_window_and_its_history(window: Window, before: int) -> None:
    dates = window.dates(before)
    assert dates[-1] == window.partition
    assert len(dates) == window.days + before
    assert all(later - earlier == DAY for earlier, later in pairwise(dates))
    assert window.dates() == dates[before:]


def test_a_window_is_cut_where_the_data_begin() -> None:
    window = Window(date(2013, 2, 5), days=90, start=date(2013, 1, 1))
    assert window.first == window.dates(29)[0] == date(2013, 1, 1)
    assert len(window.dates(29)) == 36


def test_a_partition_without_enough_history_names_the_first_that_has_it() -> None:
    with pytest.raises(WindowError, match=r"2013-01-20 has 20 days .* at least 28: .* 2013-01-28"):
        Window(date(2013, 1, 20), start=date(2013, 1, 1))
    Window(date(2013, 1, 28), start=date(2013, 1, 1))


@pytest.mark.parametrize("days", [0, 27, 331])
def test_a_window_that_does_not_fit_is_refused(days: int) -> None:
    with pytest.raises(WindowError, match=f"{days} days is not supported; expected 28 .* to 330 days"):
        Window(date(2020, 1, 1), days, longest=330)


def test_a_window_without_a_longest_may_have_any_number_of_days() -> None:
    assert len(Window(date(2020, 1, 1), 5000).dates()) == 5000
    with pytest.raises(WindowError, match=r"27 days is not supported; expected 28 .* or more days"):
        Window(date(2020, 1, 1), 27)


@pytest.mark.parametrize("key", ["", "2013-7-4", "2013-02-30", "20130704", "2013-07-04T00:00:00", "today"])
def test_a_partition_key_must_be_a_date(key: str) -> None:
    with pytest.raises(WindowError, match="expected YYYY-MM-DD"):
        parse_partition(key)
