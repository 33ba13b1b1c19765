"""Arguments of CreateTrainingJob that this package has no setting for, checked against botocore's model offline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from airflow_sagemaker.config.rules import SEPARATORS
from airflow_sagemaker.contract import CHANNELS
from airflow_sagemaker.exceptions import Violation

# What a setting of its own or the pipeline service decides. A dotted name forbids one member of a structure.
MANAGED = {
    "TrainingJobName": "SageMaker Pipelines names the jobs",
    "HyperParameters": "set by hyperparameters",
    "AlgorithmSpecification.TrainingImage": "set by training_image",
    "AlgorithmSpecification.TrainingInputMode": "set by channel_input_mode",
    "AlgorithmSpecification.MetricDefinitions": "set by metric_definitions",
    "AlgorithmSpecification.ContainerEntrypoint": "set by the SDK",
    "AlgorithmSpecification.ContainerArguments": "set by the step",
    "AlgorithmSpecification.AlgorithmName": "the step trains with an image",
    "RoleArn": "set by job_role_arn, or role_arn",
    "OutputDataConfig.S3OutputPath": "set by output_path",
    "OutputDataConfig.KmsKeyId": "set by output_kms_key",
    "ResourceConfig.InstanceType": "set by training_instance_type",
    "ResourceConfig.InstanceCount": "set by training_instance_count",
    "ResourceConfig.VolumeSizeInGB": "set by training_volume_size",
    "ResourceConfig.VolumeKmsKeyId": "set by volume_kms_key",
    "ResourceConfig.KeepAlivePeriodInSeconds": "set by keep_alive_seconds",
    "ResourceConfig.InstanceGroups": "set by training_instance_type and training_instance_count",
    "ResourceConfig.InstancePreferences": "set by training_instance_type",
    "ResourceConfig.SelectedInstanceType": "chosen by SageMaker",
    "ResourceConfig.SelectedInstanceCount": "chosen by SageMaker",
    "VpcConfig": "set by subnets and security_group_ids",
    "StoppingCondition.MaxRuntimeInSeconds": "set by max_runtime_seconds",
    "StoppingCondition.MaxWaitTimeInSeconds": "set by max_wait_seconds",
    "Tags": "set by tags",
    "EnableNetworkIsolation": "set by network_isolation",
    "EnableInterContainerTrafficEncryption": "set by encrypt_inter_container_traffic",
    "EnableManagedSpotTraining": "set by use_spot_instances",
    "CheckpointConfig": "set by checkpoint_path",
    "ProfilerConfig": "set by profiler",
    "ProfilerRuleConfigurations": "set by profiler",
    "Environment": "set by environment",
    "ServerlessJobConfig": "the step trains on instances",
}
TAKEN_CHANNELS = (*CHANNELS, "code", "sm_drivers")  # the last two are the SDK's
_PIPELINE_FUNCTIONS = frozenset({"Get", "Std:Join", "Std:JsonGet"})


def merged(base: Mapping[str, Any], additions: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, structures merged member by member and lists joined; a value of `additions` wins."""
    result = dict(base)
    for name, value in additions.items():
        old = result.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[name] = merged(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            result[name] = [*old, *deepcopy(value)]
        else:
            result[name] = deepcopy(value)
    return result


def violations(arguments: Mapping[str, Any]) -> Iterator[Violation]:
    """Return what is wrong with raw arguments: managed, unknown, of the wrong type, or against the service's limits."""
    managed = []
    for path, reason in MANAGED.items():
        value: Any = arguments
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            managed.append(f"extra_arguments.{path}")
            yield Violation(managed[-1], value, "must not be given here", reason)
    for violation in check("extra_arguments", arguments, create_training_job_shape(), partial=True):
        if not any(f"{violation.field}.".startswith((f"{path}.", f"{path}[")) for path in managed):
            yield violation
    yield from _channels(arguments.get("InputDataConfig"))


def _channels(more: Any) -> Iterator[Violation]:
    """The step's channels and these must have different names, and be as many as a job may have."""
    path = "extra_arguments.InputDataConfig"
    names: list[Any] = list(TAKEN_CHANNELS)
    for position, channel in enumerate(more if isinstance(more, list | tuple) else ()):
        name = channel.get("ChannelName") if isinstance(channel, Mapping) else None
        if name in names:
            yield Violation(f"{path}[{position}].ChannelName", name, "is the name of another channel")
        names.append(name)
    most = create_training_job_shape().members["InputDataConfig"].metadata["max"]
    if len(names) > most:
        yield Violation(path, len(names), f"at most {most} channels, {', '.join(TAKEN_CHANNELS)} included")


@cache
def create_training_job_shape() -> Any:
    """Return botocore's model of the request (0.2 s, no network)."""
    import botocore.session

    model = botocore.session.get_session().get_service_model("sagemaker")
    return model.operation_model("CreateTrainingJob").input_shape


def check(path: str, value: Any, shape: Any, *, partial: bool = False) -> Iterator[Violation]:
    """Check a value against a botocore shape, with the patterns, enums and limits that botocore itself lets pass.

    A pipeline variable such as {"Get": "Parameters.X"} stands for any value. With `partial` the outermost structures
    may lack required members, which others fill in.
    """
    if isinstance(value, Mapping) and len(value) == 1 and _PIPELINE_FUNCTIONS.intersection(value):
        return
    kind = shape.type_name
    if kind == "structure":
        yield from _check_structure(path, value, shape, partial)
    elif kind == "list":
        yield from _check_list(path, value, shape)
    elif kind == "map":
        yield from _check_map(path, value, shape)
    else:
        yield from _check_scalar(path, value, shape)


def _check_structure(path: str, value: Any, shape: Any, partial: bool) -> Iterator[Violation]:
    if not isinstance(value, Mapping):
        yield Violation(path, value, "must be a mapping")
        return
    if not partial:
        for name in shape.required_members:
            if name not in value:
                yield Violation(path, dict(value), f"needs {name}")
    for name, item in value.items():
        if name not in shape.members:
            yield Violation(f"{path}.{name}", item, f"is no member; known are {', '.join(shape.members)}")
        else:
            # One level down is still shared with the settings: OutputDataConfig has its path already.
            shared = partial and path == "extra_arguments" and shape.members[name].type_name == "structure"
            yield from check(f"{path}.{name}", item, shape.members[name], partial=shared)


def _check_list(path: str, value: Any, shape: Any) -> Iterator[Violation]:
    if not isinstance(value, list | tuple):
        yield Violation(path, value, "must be a list")
        return
    yield from _check_size(path, len(value), shape, "entries")
    for position, item in enumerate(value):
        yield from check(f"{path}[{position}]", item, shape.member)


def _check_map(path: str, value: Any, shape: Any) -> Iterator[Violation]:
    if not isinstance(value, Mapping):
        yield Violation(path, value, "must be a mapping")
        return
    yield from _check_size(path, len(value), shape, "entries")
    for name, item in value.items():
        yield from check(f"{path}.{name}", name, shape.key)
        yield from check(f"{path}.{name}", item, shape.value)


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "long": (int,), "float": (int, float), "double": (int, float),
    "boolean": (bool,),
}  # fmt: skip


def _check_scalar(path: str, value: Any, shape: Any) -> Iterator[Violation]:
    kind: str = shape.type_name
    wanted: Any = _TYPES.get(kind)  # Any: mypy cannot follow a looked-up type
    if wanted is None:
        return
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind != "boolean"):
        yield Violation(path, value, f"must be of type {kind}")
    elif kind == "string":
        yield from _check_size(path, len(value), shape, "characters")
        yield from _check_text(path, value, shape)
    elif kind != "boolean":
        yield from _check_size(path, value, shape, "")


def _check_text(path: str, value: str, shape: Any) -> Iterator[Violation]:
    if shape.enum and value not in shape.enum:
        yield Violation(path, value, f"must be one of {', '.join(shape.enum)}")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(_as_python(pattern), value, re.DOTALL):
        yield Violation(path, value, f"must match {pattern}")


def _check_size(path: str, size: float, shape: Any, unit: str) -> Iterator[Violation]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        limits = f"at least {low}" if high is None else f"{low or 0} to {high}"
        yield Violation(path, size, f"must have {limits} {unit}" if unit else f"must be {limits}")


def _as_python(pattern: str) -> str:
    """Translate the one construct of Java's patterns that the service's model uses and Python lacks."""
    return (
        pattern.replace("\\p{Alnum}", "a-zA-Z0-9")
        .replace("\\p{L}", "\\w")
        .replace("\\p{Z}", SEPARATORS)
        .replace("\\p{N}", "\\d")
    )
