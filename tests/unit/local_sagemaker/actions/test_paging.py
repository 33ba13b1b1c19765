"""Lists in pages: whatever is written between two pages, none of what was there is repeated or left out."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.actions.paging import Query, page
from local_sagemaker.errors import ValidationException


def table(created: list[int]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.execute("CREATE TABLE things (seq INTEGER PRIMARY KEY AUTOINCREMENT, created REAL)")
    add(connection, created)
    return connection


def add(connection: sqlite3.Connection, created: list[int]) -> None:
    connection.executemany("INSERT INTO things (created) VALUES (?)", [(moment,) for moment in created])


def read(connection: sqlite3.Connection, request: dict[str, Any], descending: bool) -> tuple[list[int], str | None]:
    rows, token = page(connection, Query("things"), request, sort="created", descending=descending)
    return [row["seq"] for row in rows], token.get("NextToken")


MOMENTS = st.lists(st.integers(0, 3), max_size=12)


@given(before=MOMENTS, between=MOMENTS, size=st.integers(1, 5), descending=st.booleans())
def test_what_was_there_comes_once_and_in_order(
    before: list[int], between: list[int], size: int, descending: bool
) -> None:
    connection, seen, token = table(before), [], None
    for _ in range(len(before) + len(between) + 1):
        request = {"MaxResults": size, **({"NextToken": token} if token else {})}
        found, token = read(connection, request, descending)
        assert len(found) <= size
        seen += found
        if token is None:
            break
        add(connection, [between.pop()] if between else [])
    assert token is None, "the pages do not end"
    there = [(moment, seq) for seq, moment in enumerate(before, 1)]
    expected = [seq for _, seq in sorted(there, reverse=descending)]
    assert [seq for seq in seen if seq <= len(before)] == expected
    assert len(seen) == len(set(seen))


def test_a_token_belongs_to_the_filters_that_gave_it() -> None:
    connection = table([1, 2, 3])
    _, token = read(connection, {"MaxResults": 1, "NameContains": "a"}, True)
    assert token
    with pytest.raises(ValidationException, match="Invalid NextToken"):
        read(connection, {"MaxResults": 1, "NameContains": "b", "NextToken": token}, True)
    assert read(connection, {"MaxResults": 2, "NameContains": "a", "NextToken": token}, True) == ([2, 1], None)


def test_a_token_belongs_to_the_list_that_gave_it() -> None:
    connection = table([1, 2])
    _, token = read(connection, {"MaxResults": 1}, True)
    other = Query("things")
    other.add("created > ?", 0)
    with pytest.raises(ValidationException, match="Invalid NextToken"):
        page(connection, other, {"MaxResults": 1, "NextToken": token}, sort="created", descending=True)


@given(token=st.text(max_size=40))
def test_any_other_token_is_refused(token: str) -> None:
    if not token:
        return
    with pytest.raises(ValidationException, match="Invalid NextToken"):
        read(table([1, 2]), {"NextToken": token}, True)


def test_bounds_of_a_range_are_exclusive() -> None:
    query = Query("things")
    query.add_range("created", 1, 3)
    rows, _ = page(table([1, 2, 3]), query, {}, sort="created", descending=False)
    assert [row["created"] for row in rows] == [2]
