"""Arguments of CreateTrainingJob that this package has no setting for, checked against botocore's model offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_sagemaker.config.request_shapes import create_training_job_shape, shape_violations
from airflow_sagemaker.contract import CHANNELS
from airflow_sagemaker.exceptions import Violation
from airflow_sagemaker.types import JsonMapping

# Determined by other settings or by the service. A dotted name forbids one member of a structure.
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


def argument_violations(arguments: JsonMapping) -> Iterator[Violation]:
    """Return violations of raw arguments: managed elsewhere, unknown, of a wrong type, or beyond AWS's limits."""
    managed = []
    for path, reason in MANAGED.items():
        value: object = arguments
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            managed.append(f"extra_arguments.{path}")
            yield Violation(managed[-1], value, "must not be set here", reason)
    for violation in shape_violations("extra_arguments", arguments, create_training_job_shape(), partial=True):
        if not any(f"{violation.field}.".startswith((f"{path}.", f"{path}[")) for path in managed):
            yield violation
    yield from _channel_violations(arguments.get("InputDataConfig"))


def _channel_violations(more: object) -> Iterator[Violation]:
    """Require that these channels have other names than the step's, and that a job may have so many."""
    path = "extra_arguments.InputDataConfig"
    names: list[object] = list(TAKEN_CHANNELS)
    for position, channel in enumerate(more if isinstance(more, list | tuple) else ()):
        name = channel.get("ChannelName") if isinstance(channel, Mapping) else None
        if name in names:
            yield Violation(f"{path}[{position}].ChannelName", name, "must differ from the names of the other channels")
        names.append(name)
    most = create_training_job_shape().members["InputDataConfig"].metadata["max"]
    if len(names) > most:
        yield Violation(path, len(names), f"must have at most {most} channels, including {', '.join(TAKEN_CHANNELS)}")
