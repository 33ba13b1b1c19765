"""What a pipeline and its training step are configured with: typed, validated, all violations at once.

Importing this costs neither Airflow nor the SDK nor botocore. A configuration may be made in a DAG file: what is only
known later (bucket, role and region from the connection, the run's partition, templates) may be missing then;
`completed()` fills it in and `require()` says what is still missing.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny

from airflow_sagemaker.config import container_images as images
from airflow_sagemaker.config import rules as config_rules
from airflow_sagemaker.config.groups import (
    ProfilerSettings,
    RetryPolicySettings,
    default_metric_definitions,
    default_retry_policies,
)
from airflow_sagemaker.config.hyperparameters import ModelHyperparameters
from airflow_sagemaker.config.partition_keys import partition_folder
from airflow_sagemaker.config.s3_uris import normalised_uri
from airflow_sagemaker.config.strict_model import Rule, StrictModel, is_template
from airflow_sagemaker.config.yaml_files import file_label, read_yaml
from airflow_sagemaker.contract import CHANNELS, channel_key
from airflow_sagemaker.exceptions import MISSING, ConfigurationError, Violation

REQUIREMENTS = "requirements.txt"


def default_source_dir() -> str:
    """Return the project's `training/` folder: beside plugins/, or what AIRFLOW_SAGEMAKER_SOURCE_DIR names."""
    named = os.environ.get("AIRFLOW_SAGEMAKER_SOURCE_DIR")
    return named or str(Path(__file__).resolve().parents[3] / "training")


def today_utc() -> str:
    """Return today's date in UTC: the partition of a run that names none."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


References = Annotated[tuple[str, ...], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)]
"""References "module:function"; a single one may be given as a text."""


class BasePipelineConfig(StrictModel):
    """What all steps of a pipeline have in common."""

    rules: ClassVar[tuple[Rule, ...]] = config_rules.BASE

    bucket: str | None = Field(
        default=None,
        description="Bucket for generated paths and the code. Default: from the connection or the session.",
    )
    pipeline_name: str = Field(default="pytorch-training", description="Name of the SageMaker pipeline.")
    region: str | None = Field(default=None, description="AWS region. Default: from the connection or the session.")
    role_arn: str | None = Field(
        default=None, description="Role that SageMaker assumes. Default: from the connection or the session."
    )
    job_role_arn: str | None = Field(
        None, description="IAM role of the jobs, if different from the pipeline's. Default: `role_arn`."
    )
    partition: str = Field(
        default_factory=today_utc, description="Partition of the run. Default: that of the Airflow run, or today (UTC)."
    )
    source_dir: str = Field(
        default_factory=default_source_dir,
        description="Folder to upload (in a YAML file, relative to it). Default: the project's training/.",
    )
    framework_version: str = Field(
        default=images.DEFAULT_FRAMEWORK_VERSION, description="PyTorch version of the container."
    )
    py_version: str | None = Field(
        default=None,
        description="Python version of the container, if the image offers several (PyTorch 2.10 and older).",
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Tags of the pipeline and its jobs.")

    @property
    def partition_folder(self) -> str:
        """The partition as one part of a path (`partition_keys`)."""
        return self.partition if is_template(self.partition) else partition_folder(self.partition)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build the configuration from plain data. Raises ConfigurationError with all violations."""
        return cls.model_validate(data)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Self:
        """Build the configuration from a YAML file. Raises ConfigurationError, naming the file, with all violations."""
        content = read_yaml(path)
        try:
            return cls.from_dict(content)
        except ConfigurationError as error:
            raise ConfigurationError(error.violations, what=file_label(path)) from None

    def to_dict(self) -> dict[str, Any]:
        """Return what was given explicitly, as plain JSON data: `from_dict` builds the same configuration again."""
        return self.model_dump(mode="json", exclude_unset=True)

    @property
    def jobs_role(self) -> str | None:
        """The role that jobs run under."""
        return self.job_role_arn or self.role_arn

    def completed(
        self,
        *,
        bucket: str | None = None,
        role_arn: str | None = None,
        region: str | None = None,
        partition: str | None = None,
    ) -> Self:
        """Return a copy in which these values fill what the configuration itself leaves out."""
        offered = {"bucket": bucket, "role_arn": role_arn, "region": region, "partition": partition}
        missing = {
            name: value
            for name, value in offered.items()
            if value and (name not in self.model_fields_set or getattr(self, name) is None)
        }
        return self.updated(**missing) if missing else self

    def require(self, names: Iterable[str]) -> None:
        """Raise ConfigurationError for each named field that is still missing or still holds a template."""
        violations = [self._missing(name) for name in names if getattr(self, name) is None]
        violations += [
            Violation(name, value, "still holds a template", "only the operator renders templates")
            for name, value in self
            if is_template(value)
        ]
        if violations:
            raise ConfigurationError(violations)

    def _missing(self, name: str) -> Violation:
        hints = {
            "bucket": "set bucket, or service_config.s3.bucket_name in the connection's extra",
            "role_arn": "set role_arn, or service_config.sagemaker.execution_role_arn in the connection's extra",
            "region": "set region, region_name in the connection's extra, or AWS_DEFAULT_REGION",
        }
        if name in ("input_path", "output_path", "checkpoint_path"):
            return Violation("bucket", MISSING, f"is needed to generate {name}", f"{hints['bucket']}, or set {name}")
        return Violation(name, MISSING, "is required here", hints.get(name, ""))


class PytorchTrainingConfig(BasePipelineConfig):
    """One PyTorch training step: where its data lies, what runs, on what, and under which rules."""

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
        description="Instance types in order of preference, instead of one: the first that has capacity trains.",
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
    volume_kms_key: str | None = Field(default=None, description="KMS key of the instances' volumes.")
    output_kms_key: str | None = Field(default=None, description="KMS key of the output.")
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
        default_factory=ProfilerSettings, description="Profiler; system metrics every 500 ms; null: off."
    )
    retry_policies: tuple[RetryPolicySettings, ...] = Field(
        default_factory=default_retry_policies,
        description="What SageMaker retries; by default its own faults and missing capacity, three times.",
    )
    step_cache_expires_after: str | None = Field(
        default=None, description="ISO 8601 duration in which an identical step is not run again. Default: no cache."
    )
    dependencies: References = Field(
        default=(),
        description='Steps that must complete first: "module:function" references that return a step. A processing '
        "step with outputs named train, val and test feeds the channels.",
    )
    followups: References = Field(
        default=(), description='Steps of the same pipeline that run after the training: "module:function" references.'
    )
    extra_arguments: dict[str, Any] = Field(
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
            # Written past the frozen model so that model_fields_set still tells given from generated.
            self.__dict__[name] = value

    def _generated(self, tail: str) -> str:
        return f"s3://{self.bucket}/{self.pipeline_name}/{tail}"

    @property
    def code_bucket(self) -> str | None:
        """The bucket that source code and drivers are uploaded to: `bucket`, else the output's."""
        if self.bucket is not None or self.output_path is None:
            return self.bucket
        return self.output_path.removeprefix("s3://").split("/")[0]

    @property
    def max_wait(self) -> int | None:
        """Seconds that a spot job may wait and train in all; None without spot."""
        if not self.use_spot_instances:
            return None
        return self.max_wait_seconds or self.max_runtime_seconds * 2

    @property
    def requirements(self) -> str | None:
        """Name of the requirements file that the container installs, or None."""
        present = self.install_requirements and (Path(self.source_dir) / REQUIREMENTS).is_file()
        return REQUIREMENTS if present else None

    def channel_key(self, channel: str) -> str:
        """Return what stands behind the input path for a channel: `train` -> `train/train.parquet`."""
        return channel_key(channel, is_manifest=self.channel_data_type == "ManifestFile")

    def channel_uris(self) -> dict[str, str]:
        """Return the S3 URI of the object behind each channel."""
        self.require(["input_path"])
        return {channel: f"{self.input_path}/{self.channel_key(channel)}" for channel in CHANNELS}

    def image(self) -> str:
        """Return the training image: the configured one, else the one that region and instance type ask for."""
        if self.training_image:
            return self.training_image
        self.require(["region"])
        return images.training_image(str(self.region), self.instance_type(), self.framework_version, self.py_version)

    def instance_type(self) -> str:
        """Return the instance type, of several the preferred one."""
        return self.training_instance_types[0] if self.training_instance_types else self.training_instance_type

    def pipeline_parameters(self, *, run_key: str | None = None) -> dict[str, str]:
        """Return the values of one run for StartPipelineExecution.

        `run_key` names a folder under the checkpoint path, so that runs do not resume from each other's checkpoints.
        Raises ConfigurationError when a path cannot be generated or the region is not known.
        """
        self.require(["input_path", "output_path", "checkpoint_path", "region"])
        checkpoint_path = f"{self.checkpoint_path}/{run_key}" if run_key else self.checkpoint_path
        return {
            "InputPath": str(self.input_path),
            "OutputPath": str(self.output_path),
            "CheckpointPath": str(checkpoint_path),
            "TrainingImage": self.image(),
            "TrainingInstanceType": self.instance_type(),
            "TrainingInstanceCount": str(self.training_instance_count),
            **self.hyperparameters.parameters(),
        }

    def source_violations(self) -> list[Violation]:
        """Return what is wrong with the files that would be shipped: these rules need the disk."""
        return config_rules.source_violations(self)
