"""The execution record: identity, names, and what later versions must still read."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, TypeAdapter

from airflow_sagemaker.start.record import ExecutionRecord, TaskRun, display_name

SAGEMAKER_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,81}")


def made(**changes: object) -> ExecutionRecord:
    values: dict[str, object] = {
        "clear_epoch": 1, "generation": 1, "pipeline_name": "p", "digest": "d", "parameters": {"A": "1"},
        "partition": "2013-07-04",
    }  # fmt: skip
    return ExecutionRecord.new(**{**values, **changes})  # type: ignore[arg-type]


@given(st.text(max_size=200))
def test_every_partition_gives_a_valid_display_name(partition: str) -> None:
    record = made(partition=partition)
    assert SAGEMAKER_NAME.fullmatch(record.display_name)
    assert record.display_name.endswith(record.token[:20])
    assert 32 <= len(record.token) <= 128


def test_the_record_survives_its_store() -> None:
    record = made(after=made())
    stored = record.to_json()
    TypeAdapter(JsonValue).validate_python(stored, strict=True)  # as Airflow's client does
    assert ExecutionRecord.from_json(json.loads(json.dumps(stored))) == record
    assert ExecutionRecord.from_json(None) is None


def test_the_names_of_earlier_requests_are_kept() -> None:
    first = made()
    second = made(after=first)
    third = ExecutionRecord.from_json(json.loads(json.dumps(made(after=second).to_json())))
    assert third is not None
    assert third.earlier == (first.display_name, second.display_name)
    last = third
    for _ in range(200):
        last = made(after=last)
    assert len(last.earlier) == 100
    assert first.display_name not in last.earlier


def test_a_repeated_request_is_revised_when_it_asks_for_something_else() -> None:
    record = dataclasses.replace(made(), refused=True)
    asked = {"clear_epoch": 1, "digest": "d", "parameters": {"A": "1"}, "partition": "2013-07-04"}
    again = record.asking(**asked)
    assert (again.revised, again.refused, again.token) == (False, False, record.token)
    cleared = record.asking(**{**asked, "clear_epoch": 2})
    assert (cleared.revised, cleared.token, cleared.display_name) == (True, record.token, record.display_name)
    assert cleared.asking(**asked).revised


def test_keys_of_a_later_version_are_ignored() -> None:
    record = made()
    assert ExecutionRecord.from_json({**record.to_json(), "colour": "red"}) == record


def test_a_record_of_the_first_version_is_read() -> None:
    stored = {
        "token": "0123456789abcdef0123456789abcdef", "max_tries": 2, "generation": 1, "arn": None,
        "pipeline_name": "p", "display_name": "2013-07-04-0123456789abcdef0123", "digest": "d", "parameters": {},
        "partition": "2013-07-04", "created_at": "2026-01-01T00:00:00+00:00", "retried": 0,
    }  # fmt: skip
    record = ExecutionRecord.from_json(stored)
    assert record is not None
    assert record.created.year == 2026


def test_an_unreadable_record_is_an_error_and_never_a_new_start() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        ExecutionRecord.from_json({"token": "x"})


def test_the_run_key_changes_with_the_clear_and_with_nothing_else() -> None:
    run = TaskRun("d", "r", "t", -1)
    assert run.run_key(1) == TaskRun("d", "r", "t", -1).run_key(1)
    others = {run.run_key(2), TaskRun("d", "r", "t", 0).run_key(1), TaskRun("d", "r2", "t", -1).run_key(1)}
    assert len(others | {run.run_key(1)}) == 4


def test_a_long_partition_is_cut_not_the_token() -> None:
    name = display_name("x" * 200, "f" * 32)
    assert len(name) <= 82
    assert name.endswith("-" + "f" * 20)
