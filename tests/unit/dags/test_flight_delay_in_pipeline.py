"""The DAG whose preprocessing runs inside the pipeline."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sagemaker.operators import RUN_PARTITION


@pytest.fixture
def dag(shipped: dict[str, Any]) -> Any:
    return shipped["flight_delay_in_pipeline"]


def test_one_task_holds_the_whole_pipeline(dag: Any) -> None:
    assert [task.task_id for task in dag.topological_sort()] == ["extract", "train", "report"]
    train = dag.get_task("train")
    assert train.dependencies == ["flight_delay.processing_step:preprocess"]
    assert train.deferrable
    assert train.partition == RUN_PARTITION
    assert "input_path" not in train.config


def test_no_form_field_is_without_effect(dag: Any) -> None:
    used = str(dag.get_task("train").config)
    assert dag.params
    for name in dag.params:
        assert f"params.{name} " in used
