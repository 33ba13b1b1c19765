"""The configuration of a training pipeline."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, create_model

from airflow_sagemaker.config import container_images as images
from airflow_sagemaker.config.base import BasePipelineConfig, Compute
from airflow_sagemaker.config.s3_uris import normalised_uri
from airflow_sagemaker.config.strict_model import Rule, is_template
from airflow_sagemaker.contract import CHANNELS, channel_key
from airflow_sagemaker.exceptions import Violation
from airflow_sagemaker.kinds.training import rules as config_rules
from airflow_sagemaker.kinds.training.groups import (
    ProfilerSettings,
    RetryPolicySettings,
    default_metric_definitions,
    default_retry_policies,
)
from airflow_sagemaker.kinds.training.hyperparameters import ModelHyperparameters
from airflow_sagemaker.kinds.training.metric_regexes import slow_metric_warnings
from airflow_sagemaker.kinds.training.parameters import parameter_types
from airflow_sagemaker.types import JsonMapping, JsonObject

REQUIREMENTS = "requirements.txt"
GIVEN_AT_START = "given-at-start"
"""Placeholder for the image, whose value is a pipeline parameter; an own image changes the rules."""
TEST_INSTANCE_TYPE = "ml.m5.large"
TEST_KNOBS = {"epochs": 1, "max_rows": 2000}
"""Hyperparameters in mode="test", if they exist."""
_NOT_STATIC = ("hyperparameters", "training_image")


class PytorchTrainingConfig(BasePipelineConfig):
    """A PyTorch training step: data, program, instances and limits."""

    kind: ClassVar[str] = "training"
    steps: ClassVar[str] = "airflow_sagemaker.kinds.training.steps:training_step"
    run_fields: ClassVar[frozenset[str]] = frozenset(
        {
            "input_path", "output_path", "checkpoint_path", "partition", "training_instance_type",
            "training_instance_count",
        }
    )  # fmt: skip
    input_fields: ClassVar[tuple[str, ...]] = ("input_path",)
    output_fields: ClassVar[tuple[str, ...]] = ("output_path", "checkpoint_path")
    entry_point_field: ClassVar[str] = "training_entry_point"
    rules: ClassVar[tuple[Rule, ...]] = config_rules.TRAINING

    hyperparameters: SerializeAsAny[ModelHyperparameters] = Field(
        description="The table's fields and the model's settings."
    )
    input_path: str | None = Field(default=None, description="S3 folder with train/, val/ and test/; generated.")
    output_path: str | None = Field(default=None, description="S3 folder for models and reports; generated.")
    checkpoint_path: str | None = Field(default=None, description="S3 folder for checkpoints; generated.")
    training_instance_type: str = Field(default="ml.g5.12xlarge", description="Instance type; also chooses the image.")
    training_instance_types: tuple[str, ...] = Field(
        default=(),
        description="Instance types in order of preference, instead of one: the first with capacity is used.",
    )
    training_instance_count: int = Field(default=1, ge=1, description="Number of instances.")
    training_volume_size: int = Field(default=30, ge=1, le=16384, description="Volume of each instance in GB.")
    training_entry_point: str = Field(default="train.py", description="Program inside source_dir (.py or .sh).")
    training_image: str | None = Field(
        default=None, description="Image to use instead of the default, for example from a private mirror."
    )
    install_requirements: bool = Field(
        default=True, description="Install source_dir/requirements.txt in the container, if it exists."
    )
    ca_repository_arn: str | None = Field(
        default=None, description="CodeArtifact repository that requirements are installed from (CA_REPOSITORY_ARN)."
    )
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Environment variables of the container. "
        "Not for secrets: the values are part of the definition, which AWS and Airflow show.",
    )
    max_runtime_seconds: int = Field(default=86400, ge=1, le=2419200, description="Seconds until the job is stopped.")
    use_spot_instances: bool = Field(default=False, description="Train on spot instances and resume from checkpoints.")
    max_wait_seconds: int | None = Field(
        default=None, ge=1, description="Spot: maximum seconds to wait and train. Default: twice max_runtime_seconds."
    )
    keep_alive_seconds: int | None = Field(
        default=None, ge=0, le=21600, description="Warm pool: seconds to keep the instances for the next job."
    )
    distribution: Literal["torchrun", "none"] = Field(
        default="torchrun", description="torchrun on all GPUs of all instances, detected in the container; or none."
    )
    channel_input_mode: Literal["File", "FastFile"] = Field(
        default="File", description="File copies the data before the start, FastFile streams it."
    )
    channel_data_type: Literal["S3Prefix", "ManifestFile"] = Field(
        default="S3Prefix", description="S3Prefix reads <channel>.parquet; ManifestFile reads <channel>.manifest."
    )
    volume_kms_key: str | None = Field(default=None, description="KMS key for the instances' volumes.")
    output_kms_key: str | None = Field(default=None, description="KMS key for the output.")
    subnets: tuple[str, ...] = Field(default=(), max_length=16, description="Subnets of the job's VPC.")
    security_group_ids: tuple[str, ...] = Field(default=(), max_length=5, description="Security groups in the VPC.")
    network_isolation: bool = Field(default=False, description="Isolate the container from all networks.")
    encrypt_inter_container_traffic: bool = Field(default=False, description="Encrypt the traffic between instances.")
    metric_definitions: dict[str, str] = Field(
        default_factory=default_metric_definitions,
        max_length=40,
        description="Name and regex of each metric in the log.",
    )
    profiler: ProfilerSettings | None = Field(
        default_factory=ProfilerSettings,
        description="Profiler. Default: system metrics every 500 ms; null disables it.",
    )
    retry_policies: tuple[RetryPolicySettings, ...] = Field(
        default_factory=default_retry_policies,
        description="Errors that SageMaker retries. Default: its own faults and missing capacity, three times.",
    )
    step_cache_expires_after: str | None = Field(
        default=None, description="ISO 8601 duration during which an identical step is not rerun. Default: no cache."
    )
    extra_arguments: JsonObject = Field(
        default_factory=dict, description="Other arguments of CreateTrainingJob, checked against botocore's model."
    )

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        for kind in ("input", "output", "checkpoint"):
            name = f"{kind}_path"
            value = getattr(self, name)
            if value is None and self.bucket is not None:
                value = self._generated(f"{'checkpoints' if kind == 'checkpoint' else kind}/{self.partition_folder}")
            elif value is not None and not is_template(value):
                value = normalised_uri(value)
            # Bypasses the frozen model, so that model_fields_set still has only the explicit fields.
            self.__dict__[name] = value

    def _generated(self, tail: str) -> str:
        return f"s3://{self.bucket}/{self.pipeline_name}/{tail}"

    @property
    def code_bucket(self) -> str | None:
        """The bucket that source code and drivers are uploaded to: `bucket`, or the output's."""
        if self.bucket is not None or self.output_path is None:
            return self.bucket
        return self.output_path.removeprefix("s3://").split("/")[0]

    @property
    def max_wait(self) -> int | None:
        """Maximum seconds of a spot job, waiting and training; None without spot."""
        if not self.use_spot_instances:
            return None
        return self.max_wait_seconds or self.max_runtime_seconds * 2

    @property
    def requirements(self) -> str | None:
        """Name of the requirements file that the container installs, or None."""
        present = self.install_requirements and (Path(self.source_dir) / REQUIREMENTS).is_file()
        return REQUIREMENTS if present else None

    def channel_key(self, channel: str) -> str:
        """Return a channel's path below the input path: `train` -> `train/train.parquet`."""
        return channel_key(channel, is_manifest=self.channel_data_type == "ManifestFile")

    @property
    def own_image(self) -> str | None:
        """The user's image that replaces AWS's PyTorch container."""
        return self.training_image

    def compute(self) -> tuple[Compute, ...]:
        """Return the training job's instances."""
        usage = f"{'spot ' if self.use_spot_instances else ''}training job usage"
        return (Compute(self.instance_type(), self.training_instance_count, self.max_runtime_seconds, usage),)

    def channel_uris(self) -> dict[str, str]:
        """Return the S3 URI of each channel's object."""
        self.require(["input_path"])
        return {channel: f"{self.input_path}/{self.channel_key(channel)}" for channel in CHANNELS}

    def input_objects(self) -> dict[str, str]:
        """Return the S3 URI of each channel's object, which must exist before a start."""
        return {f"channel {channel!r}": uri for channel, uri in self.channel_uris().items()}

    def image(self) -> str:
        """Return the training image: the configured one, or the one for region and instance type."""
        if self.training_image:
            return self.training_image
        self.require(["region"])
        return images.training_image(str(self.region), self.instance_type(), self.framework_version, self.py_version)

    def instance_type(self) -> str:
        """Return the instance type; of several, the preferred one."""
        return self.training_instance_types[0] if self.training_instance_types else self.training_instance_type

    def parameter_types(self) -> dict[str, str]:
        """Return each parameter's type by name; hyperparameters are strings with JSON."""
        return parameter_types(self.hyperparameters.scalars())

    def pipeline_parameters(self, *, run_key: str | None = None) -> dict[str, str]:
        """Return the parameters of one run for StartPipelineExecution.

        `run_key` names a folder below the checkpoint path, so that runs do not resume from each other's checkpoints. It
        is not used with the step cache, because the checkpoint path is part of the cache's key. Raises
        ConfigurationError if a path cannot be generated, or the region is unknown.
        """
        self.require(["input_path", "output_path", "checkpoint_path", "region"])
        own_folder = run_key and not self.step_cache_expires_after
        return {
            "InputPath": str(self.input_path),
            "OutputPath": str(self.output_path),
            "CheckpointPath": f"{self.checkpoint_path}/{run_key}" if own_folder else str(self.checkpoint_path),
            "TrainingImage": self.image(),
            "TrainingInstanceType": self.instance_type(),
            "TrainingInstanceCount": str(self.training_instance_count),
            **self.hyperparameters.parameters(),
        }

    def compile_request(self) -> JsonObject:
        """Return the static part, with the lists, and the names of the scalars, whose values belong to a run."""
        request = super().compile_request()
        static = {name: value for name, value in request["config"].items() if name not in _NOT_STATIC}
        if self.training_image:
            static["training_image"] = GIVEN_AT_START
        scalars = sorted(self.hyperparameters.scalars())
        return {"config": static, "scalars": scalars, "lists": self.hyperparameters.lists()}

    @classmethod
    def from_compile_request(cls, request: JsonMapping) -> Self:
        """Return a configuration with the static part, and hyperparameters with the request's names."""
        lists = request["lists"]
        known = set(ModelHyperparameters.model_fields)
        own: Any = {name: (Any, None) for name in [*request["scalars"], *lists] if name not in known}
        model = create_model("Hyperparameters", __base__=ModelHyperparameters, **own)
        features = {*lists["tab_field_list"], *lists["cat_field_list"]}
        identifier, label = [name for name in lists["full_field_list"] if name not in features][:2]
        hyperparameters = model(id_name=identifier, label_name=label, **lists)
        return cls(**{**request["config"], "hyperparameters": hyperparameters})

    def static_settings(self) -> JsonObject:
        """Return the settings that determine a definition and differ from the defaults."""
        static = {name: value for name, value in super().static_settings().items() if name not in _NOT_STATIC}
        if self.training_image:
            static["training_image"] = GIVEN_AT_START
        return static

    def for_test(self) -> Self:
        """Return the same definition with one small instance, one epoch and few rows, if it has these settings."""
        known = type(self.hyperparameters).model_fields
        knobs = {name: value for name, value in TEST_KNOBS.items() if name in known}
        # a list of types is part of the definition, which a test must not change
        one_type = {} if self.training_instance_types else {"training_instance_type": TEST_INSTANCE_TYPE}
        return self.updated(
            **one_type,
            training_instance_count=1,
            hyperparameters=self.hyperparameters.model_dump(exclude_unset=True) | knobs,
        )

    @classmethod
    def setting_path(cls, data: JsonMapping, name: str) -> list[str]:
        """Return the path of a setting: a hyperparameter may be given by its name alone."""
        given = data.get("hyperparameters")
        own = name in ModelHyperparameters.model_fields or (isinstance(given, Mapping) and name in given)
        return ["hyperparameters", name] if own and name not in cls.model_fields else [name]

    def warnings(self) -> list[str]:
        """Return warnings: an image without security patches, a regex that may never end."""
        today = datetime.datetime.now(datetime.UTC).date()
        found = None if self.training_image else images.patch_warning(self.framework_version, today)
        return [*([found] if found else []), *slow_metric_warnings(self.metric_definitions)]

    def source_violations(self) -> list[Violation]:
        """Return violations of the files to upload: these rules read the disk."""
        return config_rules.source_violations(self)
