"""Generated configurations: valid ones build requests that CreateTrainingJob takes, others are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.config.instance_types import training_instance_types
from airflow_sagemaker.config.request_shapes import create_training_job_shape, shape_violations
from airflow_sagemaker.exceptions import ConfigurationError
from tests.support.deployed import substituted

ROLE = "arn:aws:iam::123456789012:role/LocalSageMakerRole"
PHASES = (Phase.explicit, Phase.generate)  # no shrinking: an example costs up to a second on a busy machine
QUICK = hypothesis_settings(
    max_examples=15, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck), database=None
)

names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=40)
words = st.from_regex(r"[a-z][a-z0-9-]{2,20}[a-z0-9]", fullmatch=True).filter(lambda text: "xn--" not in text)
TRAINABLE = sorted(name for name in training_instance_types() if ".trn" not in name)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    columns = draw(st.lists(names, min_size=3, max_size=60, unique=True))
    features = columns[2:]
    split = draw(st.integers(0, len(features)))
    return {
        "id_name": columns[0],
        "label_name": columns[1],
        "full_field_list": columns,
        "tab_field_list": features[:split],
        "cat_field_list": features[split:],
        "learning_rate": draw(st.floats(1e-12, 1e3, exclude_min=True)),
        "epochs": draw(st.integers(1, 10**6)),
        "dropout": draw(st.floats(0, 0.99)),
        "compile_model": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**63 - 1)),
    }


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    spot = draw(st.booleans())
    runtime = draw(st.integers(1, 2419200))
    vpc = draw(st.booleans())
    optional: dict[str, Any] = {
        "tags": draw(st.dictionaries(words, st.from_regex(r"[\w .:/=+@-]{0,40}", fullmatch=True), max_size=4)),
        "environment": draw(
            st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,20}", fullmatch=True), names, max_size=4)
        ),
        "subnets": ["subnet-0a1"] if vpc else [],
        "security_group_ids": ["sg-0a1"] if vpc else [],
        "encrypt_inter_container_traffic": draw(st.booleans()),
        "network_isolation": draw(st.booleans()),
        "distribution": draw(st.sampled_from(["torchrun", "none"])),
        "channel_input_mode": draw(st.sampled_from(["File", "FastFile"])),
        "channel_data_type": draw(st.sampled_from(["S3Prefix", "ManifestFile"])),
        "output_kms_key": draw(st.none() | st.just("alias/output")),
        "step_cache_expires_after": draw(st.sampled_from([None, "P30D", "PT12H"])),
        "profiler": draw(st.sampled_from([None, {}, {"interval_milliseconds": 100}])),
    }
    return {
        "hyperparameters": draw(tables()),
        "bucket": draw(words),
        "pipeline_name": draw(st.from_regex(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,30}", fullmatch=True)),
        "role_arn": ROLE,
        "region": draw(st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1"])),
        "framework_version": draw(st.sampled_from(["2.10", "2.13"])),
        "training_instance_type": draw(st.sampled_from(TRAINABLE)),
        "training_instance_count": draw(st.integers(1, 100)),
        "training_volume_size": draw(st.integers(1, 16384)),
        "max_runtime_seconds": runtime,
        "use_spot_instances": spot,
        "keep_alive_seconds": None if spot else draw(st.none() | st.integers(0, 3600)),
        **optional,
    }


class Forget:
    """An uploader that uploads nothing."""

    def upload(self, files: dict[str, bytes], bucket: str, prefix: str) -> None:
        pass


def _check_schemas_once() -> None:
    """The SDK checks its own configuration's schema eleven times a build: most of an example's time."""
    from jsonschema.validators import validator_for
    from sagemaker.core.config.config_schema import SAGEMAKER_PYTHON_SDK_CONFIG_SCHEMA as SCHEMA

    kind = validator_for(SCHEMA)
    original = kind.check_schema
    original(SCHEMA)
    kind.check_schema = lambda schema, *rest: None if schema is SCHEMA else original(schema, *rest)


@cache
def _builder() -> Callable[[PytorchTrainingConfig, Path], str]:
    """Builds in this process, as the child does, so that each example costs milliseconds instead of an import."""
    from airflow_sagemaker.definition.sdk.child_main import RecordingUploader, recording_session
    from airflow_sagemaker.definition.sdk.pipeline import build_pipeline, canonical_definition

    _check_schemas_once()

    def build(config: PytorchTrainingConfig, folder: Path) -> str:
        session = recording_session(str(config.region), str(config.code_bucket), RecordingUploader(folder))
        return canonical_definition(build_pipeline(config, sagemaker_session=session, uploader=Forget()))

    return build


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    (folder / "train.py").write_text("")
    return folder


@QUICK
@given(settings=configurations())
def test_a_valid_configuration_becomes_a_request_that_the_service_takes(
    sources: Path, settings: dict[str, Any]
) -> None:
    config = PytorchTrainingConfig(**settings, source_dir=str(sources))
    parameters = config.pipeline_parameters(run_key="k" * 16)
    definition = json.loads(_builder()(config, sources))
    (step,) = definition["Steps"]
    assert len(parameters) <= 200
    assert all(len(value) <= 1024 for value in parameters.values())
    request = {"TrainingJobName": "job", **substituted(step["Arguments"], parameters)}
    assert list(shape_violations("request", request, create_training_job_shape())) == []
    for name, text in request["HyperParameters"].items():
        given_value = config.hyperparameters.model_dump(mode="json")[name]
        assert json.loads(text) == given_value
    has_gpu = settings["training_instance_type"][3] in "gp"
    image = request["AlgorithmSpecification"]["TrainingImage"]
    assert ("-gpu-" in image or "-cu" in image) == has_gpu
    assert PytorchTrainingConfig.from_dict(config.to_dict()) == config


BREAK: list[tuple[str, Any]] = [
    ("bucket", "Not_A_Bucket"), ("pipeline_name", "-"), ("region", "nowhere"), ("role_arn", "role"),
    ("training_instance_type", "ml.none.large"), ("training_instance_count", 0), ("training_volume_size", -1),
    ("input_path", "s3://bucket-only"), ("output_path", "file:///x/y"), ("max_runtime_seconds", 2419201),
    ("training_entry_point", "/train.py"), ("keep_alive_seconds", -1), ("framework_version", "0.1"),
    ("metric_definitions", {"m": "["}), ("environment", {"A-B": "x"}), ("surprise", 1), ("subnets", ["no subnet"]),
]  # fmt: skip


@QUICK
@given(
    settings=configurations(), broken=st.lists(st.sampled_from(BREAK), min_size=1, max_size=5, unique_by=lambda b: b[0])
)
@example(settings={"hyperparameters": {}}, broken=BREAK[:1])
def test_each_broken_setting_is_refused_and_named(settings: dict[str, Any], broken: list[tuple[str, Any]]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PytorchTrainingConfig(**{**settings, **dict(broken)})
    found = {violation.field.split(".")[0] for violation in caught.value.violations}
    assert {name for name, _ in broken} <= found
