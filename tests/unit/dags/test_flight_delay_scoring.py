"""The scoring DAG as a file: it follows the promotion, and its configuration is that of the scoring kind."""

from __future__ import annotations

from typing import Any

import pytest
from flight_delay.form import GROUP

from airflow_sagemaker.config.kinds import class_of


@pytest.fixture
def dag(shipped: dict[str, Any]) -> Any:
    return shipped["flight_delay_scoring"]


def test_it_follows_the_asset_that_the_promotion_updates(dag: Any, shipped: dict[str, Any]) -> None:
    (champion,) = shipped["flight_delay_training"].get_task("promote").outlets
    assert dag.timetable.asset_condition.name == champion.name


def test_three_tasks_in_a_row(dag: Any) -> None:
    order = [task.task_id for task in dag.topological_sort()]
    assert order == ["next_day", "start_scoring", "wait_for_scores"]


def test_the_champion_of_the_trainings_group_scores(dag: Any, shipped: dict[str, Any]) -> None:
    given = {**dag.get_task("start_scoring").config, "input_path": "s3://bucket/rows"}
    config = class_of(given).from_dict(given)
    assert (config.model, config.group) == ("champion", GROUP)
    assert shipped["flight_delay_training"].get_task("promote").group == GROUP
