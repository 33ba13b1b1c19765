"""The description that says whom an execution belongs to."""

from __future__ import annotations

import pytest

from airflow_sagemaker.aws.owner import OWNER_LIMIT, owner_text, owners_clear_epoch, read_owner


def text(**changes: str | int) -> str:
    known: dict[str, str | int] = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "partition": "p"}
    return owner_text(**{**known, "clear_epoch": 1, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("script", ["台", "ж", "🚂", "é", '"'])
def test_names_in_any_script_stay_whole(script: str) -> None:
    names = dict.fromkeys(("dag_id", "run_id", "task_id", "partition"), script * 250)
    owner = read_owner(text(**names))
    assert {name: owner[name] for name in names} == names


def test_what_is_too_long_is_shortened_field_by_field() -> None:
    described = text(dag_id="d" * 5000, run_id="r" * 100)
    assert len(described) <= OWNER_LIMIT
    owner = read_owner(described)
    assert owner["run_id"] == "r" * 100
    assert owner["dag_id"].strip("d") == ""


def test_clears_that_max_tries_does_not_show() -> None:
    assert owners_clear_epoch(read_owner(text(clear_epoch=3))) == (3, 0)
    assert owners_clear_epoch(read_owner(text(clear_epoch=3, unseen_clears=2))) == (3, 2)
    assert owners_clear_epoch(read_owner("by hand")) is None
