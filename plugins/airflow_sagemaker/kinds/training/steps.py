"""Builds the training step with the SageMaker SDK. Importing this module imports the SDK, which takes seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import cast

os.environ.setdefault("AWS_DEFAULT_REGION", os.environ.get("AWS_REGION", "us-east-1"))  # the import needs a region

from sagemaker.core.helper.pipeline_variable import PipelineVariable
from sagemaker.core.shapes import CheckpointConfig, InstancePreference, OutputDataConfig
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.retry import (
    RetryPolicy,
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, Step, TrainingStep
from sagemaker.train.configs import (
    Channel,
    Compute,
    DataSource,
    MetricDefinition,
    Networking,
    S3DataSource,
    SourceCode,
    StoppingCondition,
)
from sagemaker.train.distributed import Torchrun

from airflow_sagemaker.config import container_images as images
from airflow_sagemaker.config.merge import merge_arguments
from airflow_sagemaker.contract import CHANNELS, TRAINING_STEP
from airflow_sagemaker.definition.sdk.pipeline import StepContext
from airflow_sagemaker.definition.sdk.session import SessionUploader, Uploader, completed_config, configured_session
from airflow_sagemaker.exceptions import ConfigurationError
from airflow_sagemaker.kinds.training import parameters
from airflow_sagemaker.kinds.training.config import PytorchTrainingConfig
from airflow_sagemaker.kinds.training.groups import STEP_ERRORS, ProfilerRule, RetryPolicySettings
from airflow_sagemaker.kinds.training.hyperparameters import encode_json, parameter_name
from airflow_sagemaker.kinds.training.trainer import CONTAINER_ARGUMENTS, ContentAddressedTrainer
from airflow_sagemaker.types import JsonMapping, JsonObject

CHECKPOINTS_IN_CONTAINER = "/opt/ml/checkpoints"


def training_step(context: StepContext) -> TrainingStep:
    """Return the training step of a pipeline, for `definition.sdk.pipeline`.

    If a ProcessingStep among the dependencies has outputs with the channels' names (train, val, test), the channels
    refer to these outputs instead of to locations below InputPath.
    """
    config = cast("PytorchTrainingConfig", context.config)
    builder = PyTorchTrainingStepBuilder(
        config, context.session, variables=context.variables, uploader=context.uploader
    )
    return builder.create_step(dependencies=context.before, channel_folders=_channel_folders(context.before))


def _channel_folders(steps: Sequence[Step]) -> dict[str, PipelineVariable]:
    """Return references to the outputs of the last step that writes all channels; empty if there is none."""
    for step in reversed(steps):
        if not isinstance(step, ProcessingStep):
            continue
        written = step.properties.ProcessingOutputConfig.Outputs
        names = {item["OutputName"] for item in step.arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])}
        if names.issuperset(CHANNELS):
            return {channel: written[channel].S3Output.S3Uri for channel in CHANNELS}
    return {}


class PyTorchTrainingStepBuilder:
    """Creates a training step of SageMaker Pipelines from a configuration.

    By default, the step has concrete values:

        step = PyTorchTrainingStepBuilder(config).create_step(dependencies=[preprocessing_step])
        pipeline.steps.append(step)

    Role, bucket and region that the configuration omits come from the SageMaker session and its configuration file: a
    role is required, a bucket only to generate a path or upload code. Code is uploaded when the pipeline's definition
    is created, as the SDK does it, but once per content.

    With `variables` (pipeline parameters by name), the step contains no values of a single run.
    """

    def __init__(
        self,
        config: PytorchTrainingConfig,
        sagemaker_session: PipelineSession | None = None,
        *,
        variables: JsonMapping | None = None,
        uploader: Uploader | None = None,
    ) -> None:
        self.config = config
        self.session = sagemaker_session or configured_session(config)
        self.variables = variables
        self.uploader = uploader or SessionUploader(self.session)

    def create_step(
        self, dependencies: Sequence[Step] = (), channel_folders: Mapping[str, PipelineVariable] | None = None
    ) -> TrainingStep:
        """Return the training step; it starts after all `dependencies` (steps or names of steps) have completed.

        `channel_folders`: S3 URIs of the channels' files, such as
        `step.properties.ProcessingOutputConfig.Outputs["train"].S3Output.S3Uri`; default: `input_path/train` and so on.

        Raises ConfigurationError if the sources do not exist, or role, bucket or region are unknown.
        """
        config = self.config = completed_config(self.config, self.session)
        config.require(["input_path", "output_path", "checkpoint_path", "role_arn", "region"])
        problems = config.source_violations()
        if problems:
            raise ConfigurationError(problems)
        trainer = self._trainer()
        definitions = [MetricDefinition(name=name, regex=regex) for name, regex in config.metric_definitions.items()]
        trainer.with_metric_definitions(definitions)
        arguments = trainer.train(input_data_config=self._channels(channel_folders or {}), wait=False)
        return ConfiguredTrainingStep(
            name=TRAINING_STEP,
            step_args=arguments,
            depends_on=list(dependencies) or None,
            cache_config=self._cache(),
            retry_policies=[_retry_policy(policy) for policy in config.retry_policies],
            additions=self._additions(),
        )

    def _value(self, name: str) -> str | int | PipelineVariable:
        """Return a pipeline parameter, or its concrete value."""
        if self.variables is not None:
            return self.variables[name]
        value = self.config.pipeline_parameters()[name]
        return int(value) if name == parameters.INSTANCE_COUNT else value

    def _below(self, name: str, *parts: str) -> str | PipelineVariable:
        """Return a location below one of the three paths."""
        base = self._value(name)
        return "/".join([base, *parts]) if isinstance(base, str) else Join(on="/", values=[base, *parts])

    def _trainer(self) -> ContentAddressedTrainer:
        config = self.config
        source = SourceCode(
            source_dir=config.source_dir, entry_script=config.training_entry_point, requirements=config.requirements
        )
        with _role_is_not_simulated():
            return ContentAddressedTrainer(
                uploader=self.uploader,
                code_bucket=config.code_bucket or "",
                code_prefix=f"{config.pipeline_name}/code",
                fields=None if config.hyperparameters.lists_fit() else encode_json(config.hyperparameters.lists()),
                sagemaker_session=self.session,
                role=config.jobs_role,
                base_job_name=config.pipeline_name,
                training_image=self._value(parameters.TRAINING_IMAGE),
                source_code=source,
                distributed=Torchrun() if config.distribution == "torchrun" else None,
                compute=self._compute(),
                networking=self._networking(),
                stopping_condition=StoppingCondition(
                    max_runtime_in_seconds=config.max_runtime_seconds,
                    **({"max_wait_time_in_seconds": config.max_wait} if config.max_wait else {}),
                ),
                output_data_config=OutputDataConfig(
                    s3_output_path=self._value(parameters.OUTPUT_PATH),
                    **({"kms_key_id": config.output_kms_key} if config.output_kms_key else {}),
                ),
                checkpoint_config=CheckpointConfig(
                    s3_uri=self._value(parameters.CHECKPOINT_PATH), local_path=CHECKPOINTS_IN_CONTAINER
                ),
                training_input_mode="File",
                environment=self._environment(),
                hyperparameters=self._hyperparameters(),
            )

    def _compute(self) -> Compute:
        config = self.config
        optional = {
            "volume_kms_key_id": config.volume_kms_key,
            "keep_alive_period_in_seconds": config.keep_alive_seconds,
            "enable_managed_spot_training": config.use_spot_instances or None,
        }
        if config.training_instance_types:
            # part of the definition, which cannot contain a list of unknown length
            preferences = [InstancePreference(instance_type=one) for one in config.training_instance_types]
            types: JsonObject = {"instance_preferences": preferences}
        else:
            types = {"instance_type": self._value(parameters.INSTANCE_TYPE)}
        return Compute(
            **types,
            instance_count=self._value(parameters.INSTANCE_COUNT),
            volume_size_in_gb=config.training_volume_size,
            **{name: value for name, value in optional.items() if value is not None},
        )

    def _networking(self) -> Networking | None:
        config = self.config
        values: JsonObject = {}
        if config.subnets:
            values |= {"subnets": list(config.subnets), "security_group_ids": list(config.security_group_ids)}
        if config.network_isolation:
            values["enable_network_isolation"] = True
        if config.encrypt_inter_container_traffic:
            values["enable_inter_container_traffic_encryption"] = True
        return Networking(**values) if values else None

    def _environment(self) -> dict[str, str]:
        arn = self.config.ca_repository_arn
        return self.config.environment | ({"CA_REPOSITORY_ARN": arn} if arn else {})

    def _hyperparameters(self) -> JsonObject:
        """Return hyperparameters as JSON: lists unless they are shipped as a file, scalars as parameters or values."""
        given = self.config.hyperparameters
        lists = given.lists() if given.lists_fit() else {}
        scalars: JsonObject = {name: encode_json(value) for name, value in given.scalars().items()}
        if self.variables is not None:
            scalars = {name: self.variables[parameter_name(name)] for name in scalars}
        return scalars | {name: encode_json(value) for name, value in lists.items()}

    def _channels(self, folders: JsonMapping) -> list[Channel]:
        mode, kind = self.config.channel_input_mode, self.config.channel_data_type
        channels = []
        for name in CHANNELS:
            parts = self.config.channel_key(name).split("/")
            if name in folders:
                uri = Join(on="/", values=[folders[name], *parts[1:]])
            else:
                uri = self._below(parameters.INPUT_PATH, *parts)
            channels.append(_build_channel(name, uri, mode, kind))
        return channels

    def _cache(self) -> CacheConfig | None:
        expires = self.config.step_cache_expires_after
        return CacheConfig(enable_caching=True, expire_after=expires) if expires else None

    def _additions(self) -> JsonObject:
        """Return what ModelTrainer does not support: profiler, raw arguments, tags (it drops empty values)."""
        tags = [{"Key": key, "Value": value} for key, value in self.config.tags.items()]
        return merge_arguments(self._profiler() | ({"Tags": tags} if tags else {}), self.config.extra_arguments)

    def _profiler(self) -> JsonObject:
        settings = self.config.profiler
        if settings is None:
            return {"ProfilerConfig": {"DisableProfiler": True}}
        profiler: JsonObject = {
            "S3OutputPath": self._below(parameters.OUTPUT_PATH, "profiler"),
            "ProfilingIntervalInMilliseconds": settings.interval_milliseconds,
        }
        if settings.parameters:
            profiler["ProfilingParameters"] = dict(settings.parameters)
        additions: JsonObject = {"ProfilerConfig": profiler}
        if settings.rules_to_run:
            additions["ProfilerRuleConfigurations"] = [self._profiler_rule(rule) for rule in settings.rules_to_run]
        return additions

    def _profiler_rule(self, rule: ProfilerRule) -> JsonObject:
        image = images.debugger_rules_image(str(self.config.region))
        request = {
            "RuleConfigurationName": rule.name,
            "RuleEvaluatorImage": image,
            "RuleParameters": {"rule_to_invoke": rule.name, **rule.parameters},
        }
        optional = {"InstanceType": rule.instance_type, "VolumeSizeInGB": rule.volume_size}
        return request | {name: value for name, value in optional.items() if value is not None}


class ConfiguredTrainingStep(TrainingStep):  # type: ignore[misc]
    """A TrainingStep with the arguments of CreateTrainingJob that ModelTrainer cannot set."""

    def __init__(self, *, additions: JsonMapping, **options: object) -> None:
        super().__init__(**options)
        self._additions = additions

    @property
    def arguments(self) -> JsonObject:
        """The SDK's arguments, merged with ours."""
        found = merge_arguments(super().arguments, deepcopy(dict(self._additions)))
        found["AlgorithmSpecification"] = {
            **found["AlgorithmSpecification"],
            "ContainerArguments": list(CONTAINER_ARGUMENTS),
        }
        return found


@contextmanager
def _role_is_not_simulated() -> Iterator[None]:
    """Prevent ModelTrainer from checking the role in IAM, so that building a step needs no IAM permissions."""
    before = os.environ.get("SAGEMAKER_VALIDATE_ROLE")
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SAGEMAKER_VALIDATE_ROLE"]
        else:
            os.environ["SAGEMAKER_VALIDATE_ROLE"] = before


def _retry_policy(settings: RetryPolicySettings) -> RetryPolicy:
    timing = {
        "backoff_rate": settings.backoff_rate,
        "interval_seconds": settings.interval_seconds,
        "max_attempts": settings.max_attempts,
        "expire_after_mins": settings.expire_after_minutes,
    }
    names = [error.upper() for error in settings.errors]
    if STEP_ERRORS.issuperset(settings.errors):
        return StepRetryPolicy(exception_types=[StepExceptionTypeEnum[name] for name in names], **timing)
    jobs = {"JOB_INTERNAL_ERROR": "INTERNAL_ERROR"}
    kinds = [SageMakerJobExceptionTypeEnum[jobs.get(name, name)] for name in names]
    return SageMakerJobStepRetryPolicy(exception_types=kinds, **timing)


def _build_channel(name: str, uri: str | PipelineVariable, mode: str, kind: str) -> Channel:
    source = S3DataSource(s3_data_type=kind, s3_uri=uri, s3_data_distribution_type="FullyReplicated")
    return Channel(channel_name=name, data_source=DataSource(s3_data_source=source), input_mode=mode)
