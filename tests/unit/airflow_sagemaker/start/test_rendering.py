"""A configuration's templates in a DAG that renders native objects, and what is refused before any rendering."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions._internal.mixins import ResolveMixin
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.serde import deserialize, serialize

from airflow_sagemaker import PytorchTrainingConfig, SageMakerTrainingPipelineOperator
from airflow_sagemaker.exceptions import ConfigurationError

LISTS = "{{ {'full_field_list': ['id', 'y', 'a'], 'tab_field_list': ['a'], 'cat_field_list': []} }}"


def operator(config: Any, **arguments: Any) -> SageMakerTrainingPipelineOperator:
    with DAG("rendering", schedule=None, render_template_as_native_obj=True):
        return SageMakerTrainingPipelineOperator(task_id="start", config=config, **arguments)


def rendered(config: Any, context: dict[str, Any], **arguments: Any) -> SageMakerTrainingPipelineOperator:
    task = operator(config, **{"partition": "2013-07-04", **arguments})
    task.render_template_fields(context)  # type: ignore[arg-type]
    return task


@pytest.mark.parametrize("key", ["2013_07_04", "1_0", "0x10", "2.10", "True", "[1]", "2013-07-04", "a|b"])
def test_a_partition_stays_a_text(key: str) -> None:
    assert rendered({}, {"key": key}, partition="{{ key }}").partition == key
    assert rendered({"partition": "{{ key }}"}, {"key": key}).config["partition"] == key
    assert rendered({"partition": key}, {}).config["partition"] == key


def test_texts_stay_texts_and_objects_become_objects() -> None:
    config = {
        "framework_version": "2.10",
        "tags": {"cost-center": "0x10", "team": "{{ team }}"},
        "role_arn": "{{ role }}",
        "training_instance_count": "{{ count }}",
        "hyperparameters": LISTS,
    }
    found = rendered(config, {"team": "1_0", "role": None, "count": 3}).config
    assert found["framework_version"] == "2.10"
    assert found["tags"] == {"cost-center": "0x10", "team": "1_0"}
    assert found["role_arn"] is None, "what is not set stays not set"
    assert found["training_instance_count"] == 3
    assert found["hyperparameters"]["tab_field_list"] == ["a"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("training_instance_type: m5.large\n", "training_instance_type"),
        ("instance_count: 2\n", "is not a known setting"),
        ("bucket: a\nbucket: b\n", "duplicate key"),
        ("training_instance_type: ml.m9.enormous\nbucket: '{{ params.bucket }}'\n", "ml.m9.enormous"),
    ],
)
def test_a_wrong_file_fails_when_the_dag_is_parsed(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "training.yaml"
    path.write_text(text + "hyperparameters: {full_field_list: [id, y, a], tab_field_list: [a], cat_field_list: []}\n")
    with pytest.raises(ConfigurationError, match=reason) as refused:
        operator(str(path))
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "training_instance_type: '{{ params.type }}'\n",
        "training_instance_count: '{{ params.count }}'\n",
        "max_wait_seconds: '{{ params.wait }}'\nmax_runtime_seconds: 3600\nuse_spot_instances: true\n",
        "input_path: s3://{{ var.value.bucket }}/{{ ds }}/in\n",
    ],
)
def test_what_a_template_decides_is_left_to_the_task(tmp_path: Path, text: str) -> None:
    path = tmp_path / "training.yaml"
    lists = "full_field_list: [id, y, a], tab_field_list: [a], cat_field_list: []"
    path.write_text(f"{text}hyperparameters: {{id_name: id, label_name: y, {lists}}}\n")
    operator(str(path))
    path.write_text(f"{text}hyperparameters: '{{{{ params.table }}}}'\n")
    operator(str(path))
    operator("{{ params.file }}.yaml")
    operator(str(tmp_path / "not_there_yet.yaml"))


def test_one_reference_may_be_given_as_a_text() -> None:
    assert operator({}, dependencies="steps:preprocess").dependencies == ["steps:preprocess"]


class Returned(ResolveMixin):
    """The XCom of a task that has returned a value, by Airflow's own way into the database and out of it."""

    def __init__(self, value: Any) -> None:
        self.stored = serialize(value)

    def iter_references(self) -> Iterator[Any]:
        return iter(())

    def resolve(self, context: Any) -> Any:
        return deserialize(self.stored)


def test_a_task_that_returned_a_configuration_object_learns_what_to_return() -> None:
    lists = {"full_field_list": ["id", "y", "a"], "tab_field_list": ["a"], "cat_field_list": []}
    config = PytorchTrainingConfig.from_dict(
        {"bucket": "my-bucket", "hyperparameters": {"id_name": "id", "label_name": "y", **lists}}
    )
    with pytest.raises(AirflowFailException, match=r"config: a task returned .*; return config.to_dict\(\) from that"):
        rendered(Returned(config), {})
    assert rendered(Returned(config.to_dict()), {}).config["bucket"] == "my-bucket"
