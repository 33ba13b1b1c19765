"""The DAG whose preprocessing runs inside the pipeline."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker.operators import RUN_PARTITION

DAGS = Path(__file__).resolve().parents[3] / "dags"


@pytest.fixture
def dag(shipped: dict[str, Any]) -> Any:
    return shipped["flight_delay_in_pipeline"]


def test_it_has_no_preprocessing_task_and_a_processing_step_instead(dag: Any) -> None:
    assert [task.task_id for task in dag.topological_sort()] == [
        "extract",
        "start_training",
        "wait_for_training",
        "report",
    ]
    start = dag.get_task("start_training")
    assert start.dependencies == ["flight_delay.processing_step:preprocess_by_{{ params.split_by }}"]
    assert start.partition == RUN_PARTITION
    assert "input_path" not in start.config
    assert dag.get_task("extract").op_kwargs["list_for"] == start.config["pipeline_name"]


def test_all_else_is_as_in_the_other_shape(dag: Any, shipped: dict[str, Any]) -> None:
    other = shipped["flight_delay_training"]
    assert other.get_task("start_training").dependencies == []
    assert set(other.params) - set(dag.params) == {"window_days"}
    assert set(dag.params) < set(other.params)
    for task in dag.tasks:
        twin = other.get_task(task.task_id)
        assert (type(task), task.pool, task.retries) == (type(twin), twin.pool, twin.retries)


def test_no_form_field_is_without_effect(dag: Any) -> None:
    start = dag.get_task("start_training")
    used = f"{start.config} {start.dependencies} {dag.get_task('extract').op_kwargs}"
    assert dag.params
    for name in dag.params:
        assert f"params.{name} " in used


def test_every_split_of_the_form_has_its_step(dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DAGS))
    step = importlib.import_module("flight_delay.processing_step")
    (reference,) = dag.get_task("start_training").dependencies
    for way in dag.params.get_param("split_by").schema["enum"]:
        name = reference.replace("{{ params.split_by }}", way).removeprefix("flight_delay.processing_step:")
        assert callable(getattr(step, name))
