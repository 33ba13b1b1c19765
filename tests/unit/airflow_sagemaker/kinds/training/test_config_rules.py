"""Each rule of a configuration: what it refuses, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.config.instance_types import instance_type_problem, training_instance_types
from airflow_sagemaker.exceptions import ConfigurationError
from tests.support.config_samples import settings

SIX_TYPES = [f"ml.g5.{size}xlarge" for size in ("", 2, 4, 8, 12, 16)]
PROFILER_RULE = {"name": "ProfilerReport"}


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"bucket": "My_Bucket"}, "bucket", "lowercase"),
        ({"bucket": "192.168.5.4"}, "bucket", "IP address"),
        ({"bucket": "a..b"}, "bucket", "two consecutive dots"),
        ({"bucket": "xn--bucket"}, "bucket", "must not start with"),
        ({"bucket": "bucket-s3alias"}, "bucket", "must not end with"),
        ({"pipeline_name": "-flights"}, "pipeline_name", "hyphen"),
        ({"region": "europe"}, "region", "must be a region name"),
        ({"region": "xx-north-1"}, "region", "no PyTorch 2.14 image"),
        ({"role_arn": "arn:aws:iam::1:role/x"}, "role_arn", "must be a role ARN"),
        ({"partition": "2013-07-04\n"}, "partition", "control characters"),
        ({"framework_version": "9.9"}, "framework_version", "a known PyTorch image"),
        ({"framework_version": "2.10", "py_version": "py27"}, "py_version", "has py313"),
        ({"py_version": "py313"}, "py_version", "only one Python version"),
        ({"region": "cn-north-1"}, "region", "its newest is 2.13"),
        ({"tags": {"aws:x": "1"}}, "tags.aws:x", "reserved"),
        ({"tags": {"key": "v" * 257}}, "tags.key", "at most 256"),
        ({"tags": {str(n): "" for n in range(51)}}, "tags", "at most 50"),
        ({"input_path": "https://my-bucket/data"}, "input_path", "must be an S3 URI"),
        ({"input_path": "s3://my-bucket/"}, "input_path", "must name a folder"),
        ({"input_path": "s3://my-bucket/a/../b"}, "input_path", "must not contain . or .."),
        ({"input_path": "s3://my-bucket/" + "x" * 1000}, "input_path", "at most 960"),
        ({"output_path": "s3://my-bucket/checkpoints"}, "checkpoint_path", "must differ from output_path"),
        ({"output_path": "s3://my-bucket//checkpoints//"}, "checkpoint_path", "must differ from output_path"),
        ({"output_path": "s3://my-bucket/preprocessed-data/out"}, "output_path", "must not be inside input_path"),
        ({"checkpoint_path": "s3://my-bucket/model-artifacts/c"}, "checkpoint_path", "inside output_path"),
        (
            {"training_instance_types": ["ml.m5.large"], "training_instance_type": "ml.m5.large"},
            "training_instance_type", "cannot be combined with training_instance_types",
        ),
        ({"training_instance_type": "ml.trn1.2xlarge"}, "training_instance_type", "Trainium"),
        ({"training_instance_count": -1}, "training_instance_count", "greater than or equal to 1"),
        ({"training_volume_size": 0}, "training_volume_size", "greater than or equal to 1"),
        ({"training_entry_point": "../train.py"}, "training_entry_point", "relative path"),
        ({"training_entry_point": "train it.py"}, "training_entry_point", "relative path"),
        ({"training_entry_point": "train.rb"}, "training_entry_point", ".py or .sh"),
        ({"max_runtime_seconds": 0}, "max_runtime_seconds", "greater than or equal to 1"),
        ({"max_wait_seconds": 10}, "max_wait_seconds", "requires spot instances"),
        (
            {"use_spot_instances": True, "max_runtime_seconds": 100, "max_wait_seconds": 99},
            "max_wait_seconds", "at least max_runtime_seconds",
        ),
        ({"use_spot_instances": True, "keep_alive_seconds": 60}, "keep_alive_seconds", "combined with use_spot"),
        ({"keep_alive_seconds": 21601}, "keep_alive_seconds", "less than or equal to 21600"),
        ({"tags": {"key": "two\nlines"}}, "tags.key", "letters, digits, spaces"),
        ({"training_image": ""}, "training_image", "must be an image URI"),
        ({"training_image": "x" * 256}, "training_image", "must be an image URI"),
        ({"metric_definitions": {"lo\nss": "(.)"}}, "metric_definitions.lo\nss", "no line breaks"),
        ({"profiler": {"parameters": {"x": "y" * 257}}}, "profiler.parameters.x", "0 to 256 characters"),
        ({"profiler": {"parameters": {str(n): "" for n in range(21)}}}, "profiler.parameters", "0 to 20 entries"),
        (
            {"profiler": {"rules_to_run": [{**PROFILER_RULE, "instance_type": "ml.x9.large"}]}},
            "profiler.rules_to_run[0].instance_type", "must be one of",
        ),
        (
            {"profiler": {"rules_to_run": [{**PROFILER_RULE, "parameters": {str(n): "" for n in range(100)}}]}},
            "profiler.rules_to_run[0].parameters", "0 to 100 entries",
        ),
        ({"ca_repository_arn": "repo"}, "ca_repository_arn", "must be a CodeArtifact"),
        (
            {
                "ca_repository_arn": "arn:aws:codeartifact:us-east-1:123456789012:repository/d/r",
                "network_isolation": True,
            },
            "ca_repository_arn", "prevents installing",
        ),
        ({"subnets": ["subnet-1"]}, "security_group_ids", "needs both"),
        ({"subnets": ["subnet 1"], "security_group_ids": ["sg-1"]}, "subnets", "must be a subnet id"),
        ({"volume_kms_key": "alias/k"}, "volume_kms_key", "local storage"),
        ({"training_instance_types": ["ml.m5.tiny"]}, "training_instance_types", "not an instance type"),
        ({"training_instance_types": SIX_TYPES}, "training_instance_types", "at most 5"),
        ({"training_instance_types": ["ml.m5.large"] * 2}, "training_instance_types", "must not contain duplicates"),
        ({"training_instance_types": ["ml.m5.large", "ml.g5.xlarge"]}, "training_instance_types", "all GPU types"),
        (
            {"training_instance_types": ["ml.g5.xlarge"], "use_spot_instances": True},
            "use_spot_instances", "cannot be combined with",
        ),
        (
            {"training_instance_types": ["ml.g5.xlarge"], "training_instance_type": "ml.g5.xlarge"},
            "training_instance_type", "cannot be combined with",
        ),
        (
            {"training_instance_types": ["ml.p3.2xlarge", "ml.g5.xlarge"], "volume_kms_key": "alias/k"},
            "volume_kms_key", "local storage",
        ),
        ({"output_kms_key": "a b"}, "output_kms_key", "must be a KMS key"),
        ({"environment": {"1X": "y"}}, "environment.1X", "not start with a digit"),
        ({"environment": {"X": "y" * 513}}, "environment.X", "at most 512"),
        ({"environment": {"CA_REPOSITORY_ARN": "y"}}, "environment.CA_REPOSITORY_ARN", "set by ca_repository_arn"),
        ({"environment": {"AWS_SECRET_ACCESS_KEY": "y"}}, "environment.AWS_SECRET_ACCESS_KEY", "contain credentials"),
        ({"environment": {f"V{n}": "" for n in range(101)}}, "environment", "at most 100"),
        ({"metric_definitions": {"loss": "loss: ("}}, "metric_definitions.loss", "not a valid regex"),
        ({"metric_definitions": {"loss": "loss: .*"}}, "metric_definitions.loss", "needs a group"),
        ({"metric_definitions": {"loss": "(" + "x" * 500 + ")"}}, "metric_definitions.loss", "1 to 500"),
        ({"metric_definitions": {f"m{n}": "(.)" for n in range(41)}}, "metric_definitions", "at most 40"),
        ({"profiler": {"interval_milliseconds": 250}}, "profiler.interval_milliseconds", "100, 200"),
        (
            {"profiler": {"rules_to_run": [PROFILER_RULE]}, "region": "eu-central-2"},
            "profiler.rules_to_run", "not available in this region",
        ),
        ({"retry_policies": [{"errors": ["throttling"]}]}, "retry_policies[0].max_attempts", "exactly one"),
        (
            {"retry_policies": [{"errors": ["throttling", "capacity_error"], "max_attempts": 2}]},
            "retry_policies[0].errors", "separate policies",
        ),
        ({"step_cache_expires_after": "30 days"}, "step_cache_expires_after", "ISO 8601"),
        ({"step_cache_expires_after": "P"}, "step_cache_expires_after", "ISO 8601"),
        ({"dependencies": ["module.function"]}, "dependencies", "must be a reference"),
        ({"distribution": "mpi"}, "distribution", "torchrun"),
        ({"extra_arguments": {"RoleArn": "x"}}, "extra_arguments.RoleArn", "must not be set here"),
        ({"extra_arguments": {"Nothing": 1}}, "extra_arguments.Nothing", "is not a known member"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named(change: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PytorchTrainingConfig(**settings(**change))
    assert [violation.field for violation in caught.value.violations] == [field]
    assert rule in str(caught.value)
    with pytest.raises(ConfigurationError) as beside_an_unknown_key:
        PytorchTrainingConfig(**settings(**change, pipelinename="x"))
    *others, unknown = beside_an_unknown_key.value.violations
    assert others == caught.value.violations
    assert (unknown.field, unknown.hint) == ("pipelinename", "did you mean pipeline_name?")


@pytest.mark.parametrize(
    "change",
    [
        {"input_path": "s3://my-bucket/preprocessed-data/"},
        {"partition": "2013-07-04"},
        {"volume_kms_key": "alias/k", "training_instance_type": "ml.m5.large"},
        {"use_spot_instances": True, "max_wait_seconds": 86400},
        {"keep_alive_seconds": 600},
        {"subnets": ["subnet-1"], "security_group_ids": ["sg-1"], "network_isolation": True},
        {"step_cache_expires_after": "P30DT12H"},
        {"profiler": None},
        {"profiler": {"rules_to_run": [PROFILER_RULE]}, "region": "eu-central-1"},
        {"training_image": "my/image:1", "region": "xx-north-1", "framework_version": "9.9"},
        {"training_entry_point": "jobs/run.sh"},
        {"metric_definitions": {}},
        {"retry_policies": []},
    ],
)
def test_a_sound_value_is_taken(change: dict[str, Any]) -> None:
    PytorchTrainingConfig(**settings(**change))


def test_spot_waits_twice_the_runtime_unless_told() -> None:
    config = PytorchTrainingConfig(**settings(use_spot_instances=True, max_runtime_seconds=600))
    assert config.max_wait == 1200
    assert PytorchTrainingConfig(**settings()).max_wait is None


def test_files_are_checked_when_they_are_needed(tmp_path: Path) -> None:
    missing = PytorchTrainingConfig(**settings(source_dir=str(tmp_path / "nowhere")))
    assert [v.field for v in missing.source_violations()] == ["source_dir"]
    (tmp_path / "main.py").write_text("")
    (tmp_path / "requirements.txt").write_text("")
    isolated = PytorchTrainingConfig(**settings(source_dir=str(tmp_path), network_isolation=True))
    found = isolated.source_violations()
    assert [v.field for v in found] == ["training_entry_point", "network_isolation"]
    assert "main.py" in found[0].hint
    sound = isolated.updated(training_entry_point="main.py", install_requirements=False)
    assert sound.source_violations() == []


def test_every_instance_type_that_is_taken_supports_the_profiler() -> None:
    """The SDK's function says which types do not (its name reads the other way round)."""
    pytest.importorskip("sagemaker")
    from sagemaker.core.fw_utils import _instance_type_supports_profiler as is_without_profiler

    taken = [name for name in training_instance_types() if not instance_type_problem(name)]
    assert taken
    assert not [name for name in taken if is_without_profiler(name)]
