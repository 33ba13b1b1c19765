"""Raw arguments of CreateTrainingJob: checked against botocore's model, and merged."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sagemaker.config.merge import merge_arguments
from airflow_sagemaker.config.request_shapes import create_training_job_shape, shape_violations
from airflow_sagemaker.kinds.training.extra_arguments import argument_violations


@pytest.mark.parametrize(
    ("arguments", "field", "rule"),
    [
        ({"Environment": {"A": "b"}}, "extra_arguments.Environment", "must not be set here"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large"}}, "extra_arguments.ResourceConfig.InstanceType", "be set"),
        ({"ResourceConfig": {"InstanceGroups": [{"InstanceGroupName": "a"}]}},
         "extra_arguments.ResourceConfig.InstanceGroups",
         "set here"),
        ({"RetryStrategy": {}}, "extra_arguments.RetryStrategy", ""),
        ({"RetryStrategy": {"MaximumRetryAttempts": 31}}, "extra_arguments.RetryStrategy.MaximumRetryAttempts", "1 to"),
        ({"RetryStrategy": {"MaximumRetryAttempts": "3"}}, "extra_arguments.RetryStrategy.MaximumRetryAttempts", "int"),
        ({"InfraCheckConfig": {"EnableInfraCheck": 1}}, "extra_arguments.InfraCheckConfig.EnableInfraCheck", "bool"),
        ({"OutputDataConfig": {"CompressionType": "ZIP"}}, "extra_arguments.OutputDataConfig.CompressionType", "GZIP"),
        ({"InputDataConfig": [{"ChannelName": "a b", "DataSource": {}}]},
         "extra_arguments.InputDataConfig[0].ChannelName",
         "must match"),
        ({"InputDataConfig": {}}, "extra_arguments.InputDataConfig", "must be a list"),
        ({"InputDataConfig": [{"ChannelName": "x"}]}, "extra_arguments.InputDataConfig[0]", "must contain DataSource"),
    ],
)  # fmt: skip
def test_what_the_service_would_refuse_is_named(arguments: dict[str, Any], field: str, rule: str) -> None:
    found = list(argument_violations(arguments))
    if rule:
        assert [(v.field, rule in v.rule) for v in found] == [(field, True)]
    else:
        assert found == []  # an outer structure may be completed by settings


def channel(name: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://my-bucket/more"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def test_channels_have_names_of_their_own_and_are_not_too_many() -> None:
    assert list(argument_violations({"InputDataConfig": [channel(f"more{n}") for n in range(15)]})) == []
    found = list(argument_violations({"InputDataConfig": [channel("more"), channel("train"), channel("more")]}))
    assert [v.field for v in found] == [f"extra_arguments.InputDataConfig[{n}].ChannelName" for n in (1, 2)]
    found = list(argument_violations({"InputDataConfig": [channel(f"more{n}") for n in range(16)]}))
    assert [(v.field, v.value) for v in found] == [("extra_arguments.InputDataConfig", 21)]


def test_sound_arguments_pass() -> None:
    sound = {
        "RemoteDebugConfig": {"EnableRemoteDebug": True},
        "OutputDataConfig": {"CompressionType": "NONE"},
        "ExperimentConfig": {"ExperimentName": "flights"},
        "TensorBoardOutputConfig": {"S3OutputPath": {"Get": "Parameters.OutputPath"}},
        "AlgorithmSpecification": {"TrainingImageConfig": {"TrainingRepositoryAccessMode": "Platform"}},
    }
    assert list(argument_violations(sound)) == []


def test_merging_goes_member_by_member() -> None:
    base = {"A": {"x": 1}, "L": [1], "k": 1}
    assert merge_arguments(base, {"A": {"y": 2}, "L": [2], "n": 3}) == {
        "A": {"x": 1, "y": 2},
        "L": [1, 2],
        "k": 1,
        "n": 3,
    }
    assert base == {"A": {"x": 1}, "L": [1], "k": 1}


def test_a_pipeline_variable_stands_for_any_value() -> None:
    shape = create_training_job_shape().members["ResourceConfig"]
    assert list(shape_violations("r", {"InstanceCount": {"Get": "Parameters.Count"}}, shape)) == []
