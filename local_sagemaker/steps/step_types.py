"""The table of step types. A new type is an entry here, and a new class only if none of the existing ones fits."""

from __future__ import annotations

from collections.abc import Callable

from local_sagemaker.steps.callback_step import CallbackStep
from local_sagemaker.steps.control_steps import ConditionStep, FailStep
from local_sagemaker.steps.lambda_step import LambdaStep
from local_sagemaker.steps.request_steps import JobStep, ResourceStep
from local_sagemaker.steps.step import Arguments
from local_sagemaker.steps.step_type import StepType
from local_sagemaker.store import models
from local_sagemaker.store.jobs import PROCESSING, TRAINING, TUNING


def _model_name(request: Arguments, make_name: Callable[[str | None], str]) -> Arguments:
    return {**request, "ModelName": make_name(request.get("ModelName"))}


def _package_name(request: Arguments, make_name: Callable[[str | None], str]) -> Arguments:
    if request.get("ModelPackageGroupName") or request.get("ModelPackageName"):
        return request
    return {**request, "ModelPackageName": make_name(None)}


_ENTRIES: tuple[StepType, ...] = (
    JobStep(
        "Training",
        creates="CreateTrainingJob",
        name_member="TrainingJobName",
        described_by=("DescribeTrainingJob",),
        job=TRAINING,
        cached_by=(
            "AlgorithmSpecification", "CheckpointConfig", "DebugHookConfig", "DebugRuleConfigurations", "Environment",
            "HyperParameters", "InputDataConfig",
        ),
    ),
    JobStep(
        "Processing",
        creates="CreateProcessingJob",
        name_member="ProcessingJobName",
        described_by=("DescribeProcessingJob",),
        job=PROCESSING,
        cached_by=("AppSpecification", "Environment", "ProcessingInputs"),
    ),
    JobStep(
        "Tuning",
        creates="CreateHyperParameterTuningJob",
        name_member="HyperParameterTuningJobName",
        described_by=("DescribeHyperParameterTuningJob", "ListTrainingJobsForHyperParameterTuningJob"),
        job=TUNING,
        cached_by=("HyperParameterTuningJobConfig", "TrainingJobDefinition", "TrainingJobDefinitions"),
    ),
    ConditionStep(),
    FailStep(),
    CallbackStep(),
    LambdaStep(),
    ResourceStep(
        "Model",
        creates="CreateModel",
        name_member="ModelName",
        described_by=("DescribeModel",),
        complete=_model_name,
        create=models.insert_model,
    ),
    ResourceStep(
        "RegisterModel",
        creates="CreateModelPackage",
        name_member="ModelPackageName",
        described_by=("DescribeModelPackage",),
        complete=_package_name,
        create=models.register_package,
    ),
)  # fmt: skip

STEP_TYPES: dict[str, StepType] = {entry.name: entry for entry in _ENTRIES}
"""The supported step types, by `Type`."""

UNSUPPORTED = (
    "Transform", "ClarifyCheck", "QualityCheck", "EMR", "EMRServerless", "AutoML",
    "EndpointConfig", "Endpoint", "InferenceComponent", "Job", "ForEach", "Lineage", "Cleanup", "Athena",
    "MonitorDataQuality",
)  # fmt: skip
"""Types that the service has but this server does not support; the error says so. Other types are unknown."""
