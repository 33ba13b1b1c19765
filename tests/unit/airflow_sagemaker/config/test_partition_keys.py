"""Partition keys as parts of paths."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.config.partition_keys import partition_folder, partition_key, partition_problem


@given(st.text(min_size=1, max_size=60).filter(str.isprintable))
def test_a_key_can_be_read_back_from_its_folder(key: str) -> None:
    folder = partition_folder(key)
    assert partition_key(folder) == key
    assert re.fullmatch(r"[A-Za-z0-9%][A-Za-z0-9_.=:%-]*", folder)


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_two_keys_have_two_folders(one: str, other: str) -> None:
    assert (partition_folder(one) == partition_folder(other)) == (one == other)


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        ("2013-07-04", "2013-07-04"),
        ("2026-06-10T05:00:00", "2026-06-10T05:00:00"),
        ("2026-06-09|us-east", "2026-06-09%7Cus-east"),
        ("2026-06-09T00:00:00+08:00", "2026-06-09T00:00:00%2B08:00"),
        ("a/b", "a%2Fb"),
        ("..", "%2E."),
        ("100%", "100%25"),
        ("台", "%E5%8F%B0"),
    ],
)
def test_folders(key: str, folder: str) -> None:
    assert partition_folder(key) == folder


@pytest.mark.parametrize("key", ["", "a\nb", "\x00", "x" * 251])
def test_what_is_no_key(key: str) -> None:
    assert partition_problem(key)
