"""Tuning jobs, whose training jobs are declared as CreateTrainingJob declares them."""

from __future__ import annotations

from collections.abc import Mapping

from local_sagemaker.requests.members.declaration import CREATION_TIMES, KEYS, SORTED_PAGE, TAGS, Members
from local_sagemaker.requests.members.jobs import JOBS

_OF_TRIALS = (
    "RoleArn", "InputDataConfig", "VpcConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition",
    "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining", "CheckpointConfig",
    "RetryStrategy", "Environment", "AlgorithmSpecification.TrainingImage",
    "AlgorithmSpecification.TrainingInputMode", "AlgorithmSpecification.AlgorithmName",
    "AlgorithmSpecification.MetricDefinitions",
)  # fmt: skip
"""Members of a TrainingJobDefinition that are also members of CreateTrainingJob."""


def _of_trials(path: str) -> bool:
    return any(path == member or path.startswith((f"{member}.", f"{member}[")) for member in _OF_TRIALS)


def _in_definition(paths: Mapping[str, str]) -> dict[str, str]:
    return {f"TrainingJobDefinition.{path}": reason for path, reason in paths.items() if _of_trials(path)}


_TRAINING = JOBS["CreateTrainingJob"]
_CONFIG, _RANGES = "HyperParameterTuningJobConfig", "HyperParameterTuningJobConfig.ParameterRanges"
_RESOURCES = "TrainingJobDefinition.HyperParameterTuningResourceConfig"
_ONE_DEFINITION = "a tuning job has one TrainingJobDefinition here"

TUNINGS: dict[str, Members] = {
    "CreateHyperParameterTuningJob": Members(
        done=f"""
            HyperParameterTuningJobName {TAGS} {_CONFIG}.Strategy {_CONFIG}.RandomSeed
            {_CONFIG}.HyperParameterTuningJobObjective.Type {_CONFIG}.HyperParameterTuningJobObjective.MetricName
            {_CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs {_CONFIG}.ResourceLimits.MaxParallelTrainingJobs
            {_CONFIG}.ResourceLimits.MaxRuntimeInSeconds
            {_CONFIG}.TuningJobCompletionCriteria.TargetObjectiveMetricValue
            {_RANGES}.CategoricalParameterRanges[].Name {_RANGES}.CategoricalParameterRanges[].Values
            TrainingJobDefinition.DefinitionName TrainingJobDefinition.StaticHyperParameters
            {_RESOURCES}.InstanceType {_RESOURCES}.InstanceCount {_RESOURCES}.VolumeSizeInGB
        """
        + " ".join(
            f"{_RANGES}.{kind}ParameterRanges[].{member}"
            for kind in ("Integer", "Continuous")
            for member in ("Name", "MinValue", "MaxValue", "ScalingType")
        )
        + "".join(f" TrainingJobDefinition.{path}" for path in _TRAINING.done.split() if _of_trials(path)),
        without_effect={
            f"{_CONFIG}.TrainingJobEarlyStoppingType": "each training job runs to its end",
            f"{_RESOURCES}.VolumeKmsKeyId": KEYS,
            **_in_definition(_TRAINING.without_effect),
        },
        refused={
            f"{_CONFIG}.StrategyConfig": "it is for Hyperband; use Bayesian, Random or Grid",
            f"{_CONFIG}.TuningJobCompletionCriteria.BestObjectiveNotImproving": "use TargetObjectiveMetricValue",
            f"{_CONFIG}.TuningJobCompletionCriteria.ConvergenceDetected": "use TargetObjectiveMetricValue",
            f"{_RANGES}.AutoParameters": "give each hyperparameter a range",
            "Autotune": "give each hyperparameter a range",
            "WarmStartConfig": "a tuning job cannot use the results of another",
            "TrainingJobDefinitions": _ONE_DEFINITION,
            "TrainingJobDefinition.TuningObjective": _ONE_DEFINITION,
            "TrainingJobDefinition.HyperParameterRanges": _ONE_DEFINITION,
            f"{_RESOURCES}.AllocationStrategy": "use InstanceType and InstanceCount",
            f"{_RESOURCES}.InstanceConfigs": "use InstanceType and InstanceCount",
            **_in_definition(_TRAINING.refused),
        },
    ),
    **{
        f"{verb}HyperParameterTuningJob": Members(done="HyperParameterTuningJobName")
        for verb in ("Describe", "Stop", "Delete")
    },
    "ListHyperParameterTuningJobs": Members(
        done=f"{SORTED_PAGE} {CREATION_TIMES} LastModifiedTimeAfter LastModifiedTimeBefore NameContains StatusEquals"
    ),
    "ListTrainingJobsForHyperParameterTuningJob": Members(
        done=f"HyperParameterTuningJobName {SORTED_PAGE} StatusEquals"
    ),
}
