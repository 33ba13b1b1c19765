"""The rules of a training's configuration: values that the service or the SDK would reject later, or misinterpret.

A rule yields `Violation`s for values of a valid type. Strings with Airflow templates are checked after rendering. The
source is botocore's model of CreateTrainingJob, CreatePipeline and StartPipelineExecution unless a rule names another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Protocol

from airflow_sagemaker.config import container_images as images
from airflow_sagemaker.config.instance_types import instance_type_problem, processor_of
from airflow_sagemaker.config.request_shapes import create_training_job_shape, shape_violations
from airflow_sagemaker.config.rules import text_rule
from airflow_sagemaker.config.s3_uris import is_inside, normalised_uri, uri_problem
from airflow_sagemaker.config.strict_model import Rule, is_template, reads_fields
from airflow_sagemaker.exceptions import Violation
from airflow_sagemaker.kinds.training.extra_arguments import argument_violations
from airflow_sagemaker.kinds.training.groups import ProfilerSettings
from airflow_sagemaker.kinds.training.hyperparameters import MAX_PARAMETER
from airflow_sagemaker.types import JsonObject

PATHS = ("input_path", "output_path", "checkpoint_path")
_IMAGE = re.compile(r"\S{1,255}")
_ENTRY_POINT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\.(py|sh)")
_KMS = re.compile(r"[a-zA-Z0-9:/_-]{1,2048}")
_SUBNET = re.compile(r"[-0-9a-zA-Z]{1,32}")
_ENVIRONMENT_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,511}")
_REPOSITORY = re.compile(
    r"arn:aws[a-z\-]*:codeartifact:[a-z0-9\-]+:\d{12}:repository/[A-Za-z0-9._\-]+/[A-Za-z0-9._\-]+"
)
_DURATION = re.compile(r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?")
_CREDENTIALS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})
MAX_INSTANCE_TYPES = 5
"""InstancePreferenceList of botocore's model."""
_LOCAL_STORAGE = ("p3dn", "p4", "p5", "p6", "g4dn", "g5", "g6", "g7", "r5d", "trn")


class TrainingFields(Protocol):
    """The fields that the rules below read."""

    region: str | None
    training_instance_type: str
    training_instance_types: tuple[str, ...]
    use_spot_instances: bool
    max_runtime_seconds: int
    max_wait_seconds: int | None
    keep_alive_seconds: int | None
    install_requirements: bool
    ca_repository_arn: str | None
    environment: dict[str, str]
    volume_kms_key: str | None
    subnets: tuple[str, ...]
    security_group_ids: tuple[str, ...]
    network_isolation: bool
    metric_definitions: dict[str, str]
    profiler: ProfilerSettings | None
    extra_arguments: JsonObject

    @property
    def model_fields_set(self) -> set[str]:
        """The fields that were set explicitly."""


class ShippedFields(Protocol):
    """The fields that the check of the files to upload reads."""

    source_dir: str
    training_entry_point: str
    network_isolation: bool
    ca_repository_arn: str | None

    @property
    def requirements(self) -> str | None:
        """Name of the requirements file that the container installs, or None."""


def _paths_differ(seen: object) -> Iterator[Violation]:
    given = {name: getattr(seen, name) for name in PATHS if getattr(seen, name, None) is not None}
    sound: dict[str, str] = {}
    for name, uri in given.items():
        if is_template(uri):
            continue
        problem = uri_problem(uri)
        # The longest path that is derived from it: a channel's file, or the profiler's folder.
        if not problem and len(uri) > MAX_PARAMETER - 64:
            problem = f"must have at most {MAX_PARAMETER - 64} characters, because longer paths are derived from it"
        if problem:
            yield Violation(name, uri, problem)
        else:
            sound[name] = uri
    for one, other in combinations(sound, 2):
        if normalised_uri(sound[one]) == normalised_uri(sound[other]):
            yield Violation(other, sound[other], f"must differ from {one}")
        elif is_inside(sound[other], sound[one]):
            yield Violation(other, sound[other], f"must not be inside {one}", f"{one} is {sound[one]}")
        elif is_inside(sound[one], sound[other]):
            yield Violation(one, sound[one], f"must not be inside {other}", f"{other} is {sound[other]}")


@reads_fields("training_instance_type")
def _instance_type(seen: TrainingFields) -> Iterator[Violation]:
    """Reject types that cannot train, including Trainium, the only family without support for the profiler.

    Source: sagemaker.core.fw_utils._instance_type_supports_profiler excludes only `trn`. So all accepted types can be
    profiled, and the profiler's rule checks the region only.
    """
    if not is_template(seen.training_instance_type):
        problem = instance_type_problem(seen.training_instance_type)
        if problem:
            yield Violation("training_instance_type", seen.training_instance_type, problem)


@reads_fields("training_instance_types", "use_spot_instances")
def _instance_preferences(seen: TrainingFields) -> Iterator[Violation]:
    """Reject what CreateTrainingJob's ResourceConfig.InstancePreferences excludes, and types with different images."""
    types = seen.training_instance_types
    name = "training_instance_types"
    if not types or any(is_template(one) for one in types):
        return
    for one in types:
        problem = instance_type_problem(one)
        if problem:
            yield Violation(name, one, problem)
    if len(types) > MAX_INSTANCE_TYPES:
        yield Violation(name, len(types), f"must have at most {MAX_INSTANCE_TYPES} instance types")
    if len(set(types)) < len(types):
        yield Violation(name, list(types), "must not contain duplicates")
    if len({processor_of(one) for one in types}) > 1:
        rule = "must be all GPU types or all CPU types, because they share one image"
        yield Violation(name, list(types), rule)
    if seen.use_spot_instances:
        yield Violation("use_spot_instances", True, "cannot be combined with training_instance_types")
    if "training_instance_type" in seen.model_fields_set:
        rule = "cannot be combined with training_instance_types"
        yield Violation("training_instance_type", seen.training_instance_type, rule, "remove one of the two")


@reads_fields("use_spot_instances", "max_wait_seconds", "max_runtime_seconds", "keep_alive_seconds")
def _spot_and_warm_pool(seen: TrainingFields) -> Iterator[Violation]:
    wait = seen.max_wait_seconds
    if wait is not None and not seen.use_spot_instances:
        yield Violation("max_wait_seconds", wait, "requires spot instances", "set use_spot_instances")
    elif wait is not None and wait < seen.max_runtime_seconds:
        rule = f"must be at least max_runtime_seconds ({seen.max_runtime_seconds})"
        yield Violation("max_wait_seconds", wait, rule)
    if seen.keep_alive_seconds and seen.use_spot_instances:
        yield Violation("keep_alive_seconds", seen.keep_alive_seconds, "cannot be combined with use_spot_instances")


@reads_fields("network_isolation", "ca_repository_arn", "install_requirements")
def _installs_need_a_network(seen: TrainingFields) -> Iterator[Violation]:
    if seen.ca_repository_arn is None:
        return
    if seen.network_isolation:
        yield Violation(
            "ca_repository_arn",
            seen.ca_repository_arn,
            "cannot be combined with network_isolation, which prevents installing packages",
        )
    if not seen.install_requirements:
        yield Violation("ca_repository_arn", seen.ca_repository_arn, "has no effect without install_requirements")


@reads_fields("subnets", "security_group_ids")
def _vpc_is_whole(seen: TrainingFields) -> Iterator[Violation]:
    if bool(seen.subnets) != bool(seen.security_group_ids):
        missing = "security_group_ids" if seen.subnets else "subnets"
        yield Violation(missing, [], "a VPC needs both subnets and security_group_ids")


@reads_fields("volume_kms_key", "training_instance_type", "training_instance_types")
def _volume_key_needs_a_volume(seen: TrainingFields) -> Iterator[Violation]:
    for instance_type in seen.training_instance_types or (seen.training_instance_type,):
        family = instance_type.removeprefix("ml.").split(".")[0]
        if not seen.volume_kms_key or not family.startswith(_LOCAL_STORAGE):
            continue
        # CreateTrainingJob, ResourceConfig.VolumeKmsKeyId: rejected for types with local instance storage.
        rule = f"cannot be used with {instance_type}, whose local storage is encrypted with its own key"
        yield Violation("volume_kms_key", seen.volume_kms_key, rule)


@reads_fields("environment", "ca_repository_arn")
def _environment_limits(seen: TrainingFields) -> Iterator[Violation]:
    if len(seen.environment) + bool(seen.ca_repository_arn) > 100:
        yield Violation(
            "environment", len(seen.environment), "must have at most 100 variables, including CA_REPOSITORY_ARN"
        )
    for name, value in seen.environment.items():
        path = f"environment.{name}"
        if not _ENVIRONMENT_NAME.fullmatch(name):
            yield Violation(
                path, name, "a variable name must consist of letters, digits and _, and not start with a digit"
            )
        if len(value) > 512:
            yield Violation(path, value, "must have at most 512 characters")
        if name == "CA_REPOSITORY_ARN":
            yield Violation(path, value, "is set by ca_repository_arn", "remove it here")
        if name in _CREDENTIALS:
            yield Violation(path, "(hidden)", "must not contain credentials", "grant the role the permission instead")


@reads_fields("metric_definitions")
def _metric_regexes(seen: TrainingFields) -> Iterator[Violation]:
    for name, regex in seen.metric_definitions.items():
        path = f"metric_definitions.{name}"
        if not 1 <= len(name) <= 255 or "\n" in name:
            yield Violation(path, name, "a metric name must have 1 to 255 characters and no line breaks")
        if not 1 <= len(regex) <= 500 or "\n" in regex:
            yield Violation(path, regex, "a regex must have 1 to 500 characters and no line breaks")
            continue
        try:
            groups = re.compile(regex).groups
        except re.error as error:
            yield Violation(path, regex, f"is not a valid regex: {error}")
            continue
        if groups < 1:
            yield Violation(path, regex, "needs a group around the number, such as ([0-9.]+)")


@reads_fields("profiler")
def _profiler_limits(seen: TrainingFields) -> Iterator[Violation]:
    if seen.profiler is None or not (seen.profiler.parameters or seen.profiler.rules_to_run):
        return
    members = create_training_job_shape().members
    of_profiler = members["ProfilerConfig"].members["ProfilingParameters"]
    yield from shape_violations("profiler.parameters", seen.profiler.parameters, of_profiler)
    of_rule = members["ProfilerRuleConfigurations"].member.members
    for number, rule in enumerate(seen.profiler.rules_to_run):
        path = f"profiler.rules_to_run[{number}]"
        parameters = {"rule_to_invoke": rule.name, **rule.parameters}
        yield from shape_violations(f"{path}.parameters", parameters, of_rule["RuleParameters"])
        if rule.instance_type is not None:
            yield from shape_violations(f"{path}.instance_type", rule.instance_type, of_rule["InstanceType"])


@reads_fields("profiler", "region")
def _profiler_region(seen: TrainingFields) -> Iterator[Violation]:
    if seen.profiler is None or not seen.profiler.rules_to_run or not seen.region or is_template(seen.region):
        return
    if images.debugger_rules_image(seen.region) is None:
        yield Violation("profiler.rules_to_run", seen.region, "profiler rules are not available in this region")


@reads_fields("extra_arguments")
def _extra_arguments(seen: TrainingFields) -> Iterator[Violation]:
    if seen.extra_arguments:
        yield from argument_violations(seen.extra_arguments)


def source_violations(seen: ShippedFields) -> list[Violation]:
    """Return violations of the files that a training configuration uploads."""
    folder = Path(seen.source_dir)
    if not folder.is_dir():
        return [Violation("source_dir", seen.source_dir, "is not a folder on this machine")]
    found = []
    if not (folder / seen.training_entry_point).is_file():
        there = sorted(path.name for path in folder.iterdir() if path.suffix in (".py", ".sh"))
        hint = f"found: {', '.join(there)}" if there else "the folder contains no .py or .sh file"
        found.append(Violation("training_entry_point", seen.training_entry_point, f"is not in {folder}", hint))
    if seen.network_isolation and seen.requirements:
        hint = "set install_requirements to false and use an image that contains the packages"
        rule = f"prevents installing {folder / seen.requirements}"
        found.append(Violation("network_isolation", True, rule, hint))
    if seen.ca_repository_arn and not seen.requirements:
        rule = f"has no effect: {folder} has no requirements.txt"
        found.append(Violation("ca_repository_arn", seen.ca_repository_arn, rule))
    return found


TRAINING: tuple[Rule, ...] = (
    _paths_differ,
    _instance_type,
    _instance_preferences,
    text_rule(
        "training_entry_point",
        _ENTRY_POINT,
        "must be a relative path to a .py or .sh file, with letters, digits and _.- only",
    ),
    text_rule(
        "training_image", _IMAGE, "must be an image URI such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/mine:1"
    ),
    text_rule("ca_repository_arn", _REPOSITORY, "must be a CodeArtifact repository ARN"),
    text_rule("volume_kms_key", _KMS, "must be a KMS key id, alias or ARN"),
    text_rule("output_kms_key", _KMS, "must be a KMS key id, alias or ARN"),
    text_rule("subnets", _SUBNET, "must be a subnet id such as subnet-0123456789abcdef0"),
    text_rule("security_group_ids", _SUBNET, "must be a security group id such as sg-0123456789abcdef0"),
    text_rule("step_cache_expires_after", _DURATION, "must be an ISO 8601 duration such as P30D or PT12H"),
    _spot_and_warm_pool,
    _installs_need_a_network,
    _vpc_is_whole,
    _volume_key_needs_a_volume,
    _environment_limits,
    _metric_regexes,
    _profiler_limits,
    _profiler_region,
    _extra_arguments,
)
