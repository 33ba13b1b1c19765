"""What a configuration fills in, keeps and hands on."""

from __future__ import annotations

import datetime
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker import BasePipelineConfig, ModelHyperparameters, PytorchTrainingConfig
from airflow_sagemaker.exceptions import AirflowSageMakerError, ConfigurationError
from tests.support.config_samples import PATHS, ROLE, TABLE, settings

PLUGINS = Path(__file__).resolve().parents[5] / "plugins"


def test_the_documented_example_works_and_paths_lose_their_trailing_slash() -> None:
    config = PytorchTrainingConfig(
        **PATHS,
        training_instance_type="ml.g5.12xlarge",
        training_instance_count=1,
        hyperparameters=ModelHyperparameters(**TABLE, learning_rate=0.001, batch_size=64, epochs=10),
    )
    assert config.input_path == "s3://my-bucket/preprocessed-data"
    assert config.channel_uris()["train"] == "s3://my-bucket/preprocessed-data/train/train.parquet"
    assert (config.training_volume_size, config.training_entry_point) == (30, "train.py")
    assert isinstance(config, BasePipelineConfig)


def test_defaults_are_the_documented_ones() -> None:
    config = PytorchTrainingConfig(hyperparameters=TABLE)
    assert config.training_instance_type == "ml.g5.12xlarge"
    assert config.training_instance_count == 1
    assert (config.framework_version, config.py_version) == ("2.14", None)
    assert config.partition == datetime.datetime.now(datetime.UTC).date().isoformat()
    assert Path(config.source_dir).name == "training"
    assert config.step_cache_expires_after is None
    assert config.ca_repository_arn is None


def test_a_path_that_is_not_given_is_made_of_bucket_pipeline_and_partition() -> None:
    config = PytorchTrainingConfig(
        hyperparameters=TABLE, bucket="my-bucket", pipeline_name="flights", partition="2013-07-04"
    )
    assert config.input_path == "s3://my-bucket/flights/input/2013-07-04"
    assert config.output_path == "s3://my-bucket/flights/output/2013-07-04"
    assert config.checkpoint_path == "s3://my-bucket/flights/checkpoints/2013-07-04"
    moved = config.updated(partition="2013-07-05")
    assert moved.input_path == "s3://my-bucket/flights/input/2013-07-05"


def test_completed_fills_only_what_is_missing() -> None:
    config = PytorchTrainingConfig(hyperparameters=TABLE, region="eu-west-1", input_path="s3://my-bucket/mine")
    config = config.completed(bucket="other-bucket", role_arn=ROLE, region="us-east-1", partition="2013-07-04")
    assert (config.region, config.bucket, config.role_arn) == ("eu-west-1", "other-bucket", ROLE)
    assert config.input_path == "s3://my-bucket/mine"
    assert config.output_path == "s3://other-bucket/pytorch-training/output/2013-07-04"


def test_a_bucket_is_missed_only_when_a_path_must_be_generated() -> None:
    with pytest.raises(ConfigurationError, match="is needed to generate input_path") as caught:
        PytorchTrainingConfig(hyperparameters=TABLE, region="us-east-1").pipeline_parameters()
    assert len(caught.value.violations) == 3
    assert PytorchTrainingConfig(**settings(region="us-east-1")).pipeline_parameters()["InputPath"]


def test_pipeline_parameters_hold_all_values_of_a_run_as_text() -> None:
    config = PytorchTrainingConfig(**settings(region="eu-central-1", training_instance_count=2))
    values = config.pipeline_parameters(run_key="k1")
    assert values["CheckpointPath"] == "s3://my-bucket/checkpoints/k1"
    assert values["TrainingInstanceCount"] == "2"
    assert values["TrainingImage"].endswith(".dkr.ecr.eu-central-1.amazonaws.com/pytorch:2.14-cu133-amzn2023-sagemaker")
    assert values["HyperparameterIdName"] == '"customer_id"'
    assert values["HyperparameterLearningRate"] == "0.001"
    assert values["HyperparameterCompileModel"] == "false"
    assert all(isinstance(value, str) for value in values.values())


@pytest.mark.parametrize(
    ("version", "instance_type", "image"),
    [
        ("2.14", "ml.m5.large", "pytorch:2.14-cpu-amzn2023-sagemaker"),
        ("2.14", "ml.p5.48xlarge", "pytorch:2.14-cu133-amzn2023-sagemaker"),
        ("2.11", "ml.p5.48xlarge", "pytorch:2.11-cu130-amzn2023-sagemaker"),
        ("2.10", "ml.m5.large", "pytorch-training:2.10-cpu-py313"),
        ("2.5.1", "ml.g5.xlarge", "pytorch-training:2.5.1-gpu-py311"),
    ],
)
def test_the_image_follows_version_and_instance_type(version: str, instance_type: str, image: str) -> None:
    given = settings(region="us-east-1", training_instance_type=instance_type, framework_version=version)
    config = PytorchTrainingConfig(**given)
    assert config.image() == f"763104351884.dkr.ecr.us-east-1.amazonaws.com/{image}"
    assert config.updated(training_image="mine:1").image() == "mine:1"


def test_a_configuration_survives_plain_data_pickle_and_yaml(tmp_path: Path) -> None:
    config = PytorchTrainingConfig(**settings(retry_policies=[{"errors": ["throttling"], "max_attempts": 2}]))
    assert PytorchTrainingConfig.from_dict(config.to_dict()) == config
    assert pickle.loads(pickle.dumps(config)) == config
    path = tmp_path / "training.yaml"
    path.write_text(f"bucket: my-bucket\nhyperparameters: {TABLE}\n")
    assert PytorchTrainingConfig.from_yaml(path).bucket == "my-bucket"


def test_a_relative_source_dir_in_a_file_lies_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "training.yaml"
    for given, meant in (
        ("program", str(tmp_path / "program")),
        ("/srv/program", "/srv/program"),
        ("{{ x }}", "{{ x }}"),
    ):
        path.write_text(json.dumps(settings(source_dir=given)))  # JSON is YAML
        assert PytorchTrainingConfig.from_yaml(path).source_dir == meant


def test_a_text_where_a_list_belongs_is_told_so() -> None:
    with pytest.raises(ConfigurationError, match="subnets = 'subnet-1': should be a list"):
        PytorchTrainingConfig(**settings(subnets="subnet-1"))


def test_one_reference_may_be_given_as_a_text() -> None:
    config = PytorchTrainingConfig(hyperparameters=TABLE, dependencies="module:function")
    assert config.dependencies == ("module:function",)
    assert PytorchTrainingConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("bucket: [", "is not valid YAML"),
        ("- 1", "must be a mapping"),
        ("hyperparameters:\n  epochs: 3\n  batch_size: 4\n  epochs: 5\n", "duplicate key 'epochs'(?s:.*)line 4"),
        ("", "must be a mapping"),
        (None, "No such file"),
    ],
)
def test_a_bad_yaml_file_is_named(tmp_path: Path, content: str | None, expected: str) -> None:
    path = tmp_path / "training.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=expected) as caught:
        PytorchTrainingConfig.from_yaml(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["partition: 2026-01-31", "framework_version: 2.10", "tags: {year: 2013}"])
def test_a_text_that_yaml_takes_for_something_else_is_told_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "training.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"should be a string \(in YAML, quote it"):
        PytorchTrainingConfig.from_yaml(path)


def test_all_violations_arrive_together_with_field_value_and_rule() -> None:
    broken: dict[str, Any] = settings(
        input_path="s3://B/x",
        output_path="s3://my-bucket/",
        training_instance_type="ml.g5.13xlarge",
        training_instance_count=0,
        role_arn="me",
        training_instance_typ="ml.m5.large",
        hyperparameters={**TABLE, "label_name": "nowhere", "learning_rate": -1, "epoch": 3},
    )
    with pytest.raises(ConfigurationError) as caught:
        PytorchTrainingConfig(**broken)
    found = {violation.field: violation for violation in caught.value.violations}
    assert set(found) == {
        "input_path", "output_path", "training_instance_type", "training_instance_count", "role_arn",
        "training_instance_typ", "hyperparameters.label_name", "hyperparameters.learning_rate", "hyperparameters.epoch",
    }  # fmt: skip
    assert found["training_instance_typ"].hint == "did you mean training_instance_type?"
    assert found["hyperparameters.epoch"].hint == "did you mean epochs?"
    assert "did you mean ml.g5." in found["training_instance_type"].rule
    text = str(caught.value)
    assert text.startswith("Invalid configuration (9 errors):")
    assert "hyperparameters.label_name = 'nowhere': must be in full_field_list" in text


def test_the_error_is_catchable_as_value_error_and_crosses_processes() -> None:
    with pytest.raises(ValueError, match="full_field_list") as caught:
        ModelHyperparameters(id_name="a", label_name="b", full_field_list=["c"], tab_field_list=["c"])
    assert isinstance(caught.value, AirflowSageMakerError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.violations == caught.value.violations


def test_templates_wait_for_rendering_and_are_refused_afterwards() -> None:
    config = PytorchTrainingConfig(
        **settings(output_path="s3://my-bucket/models/{{ ds }}", region="us-east-1", bucket="{{ conn.x }}")
    )
    with pytest.raises(ConfigurationError, match=r"output_path = .*still contains a template"):
        config.pipeline_parameters()


def test_a_configuration_cannot_be_changed_in_place() -> None:
    config = PytorchTrainingConfig(**settings())
    with pytest.raises(ValueError, match="frozen"):
        config.bucket = "another-bucket"  # type: ignore[misc]


@pytest.mark.parametrize("module", ["airflow_sagemaker", "airflow_sagemaker.kinds.training.config"])
def test_importing_costs_neither_airflow_nor_sdk_nor_torch_nor_botocore(module: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(PLUGINS)!r}); import {module}; "
        "print([m for m in ('airflow', 'sagemaker', 'torch', 'boto3', 'botocore') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_the_public_names_are_the_documented_ones() -> None:
    import airflow_sagemaker

    assert [name for name in airflow_sagemaker.__all__ if not name.startswith("_")] == [
        "RUN_PARTITION", "BasePipelineConfig", "ModelHyperparameters", "PyTorchTrainingStepBuilder",
        "PytorchScoringConfig", "PytorchTrainingConfig", "SageMakerPromoteModelOperator",
        "SageMakerTableCheckOperator", "SageMakerTrainingDag", "SageMakerTrainingPipelineOperator",
        "SageMakerTrainingPipelineSensor", "SageMakerTrainingTaskGroup",
    ]  # fmt: skip
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = airflow_sagemaker.Nothing


def test_each_setting_is_described() -> None:
    assert [name for name, info in PytorchTrainingConfig.model_fields.items() if not info.description] == []
