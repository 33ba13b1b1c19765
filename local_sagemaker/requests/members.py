"""Every member of every request that this server answers, and what becomes of it: the one table.

A member is *done*, *kept* (written down and given back by Describe, with all below it), *without effect*, or *refused*
by name. What the table does not have is refused, so that a newer model of the service cannot add a member that is
silently ignored; a test holds the table against botocore's model, and docs/fidelity.md lists what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from local_sagemaker.expressions.values import is_expression


@dataclass(frozen=True)
class Members:
    """The members of one action's request, as paths such as `Tags[].Key`."""

    done: str = ""
    """Paths of what the server acts on, to the last member; the structures around them are implied."""
    kept: str = ""
    without_effect: Mapping[str, str] = field(default_factory=dict)
    """Paths, with all below them, and why nothing is missed."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Paths, with all below them, and why or what to use; a value that asks for nothing, such as false, is let by."""

    @cached_property
    def structures(self) -> frozenset[str]:
        """The paths that have others below them."""
        paths = [*self.done.split(), *self.without_effect, *self.refused]
        return frozenset(path[:end] for path in paths for end, sign in enumerate(path) if sign in ".[")

    @cached_property
    def leaves(self) -> frozenset[str]:
        """The paths below which nothing need be looked at."""
        return frozenset([*self.done.split(), *self.kept.split(), *self.without_effect]) - self.structures


def unsupported_members(operation: str, request: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each member of a request that is refused; expressions that have no value yet are let by."""
    yield from _unsupported(MEMBERS.get(operation, Members()), request, "", "")


def _unsupported(members: Members, value: dict[str, Any], path: str, shown: str) -> Iterator[str]:
    for name, item in value.items():
        here, seen = (f"{path}.{name}", f"{shown}.{name}") if path else (name, name)
        if not item or is_expression(item) or here in members.leaves:
            continue
        if here in members.refused:
            yield f"{seen} is not supported by the local SageMaker: {members.refused[here]}"
        elif here not in members.structures:
            yield f"{seen} is not supported by the local SageMaker: it is newer than this server"
        elif isinstance(item, dict):
            yield from _unsupported(members, item, here, seen)
        elif isinstance(item, list):
            for number, part in enumerate(item):
                if isinstance(part, dict) and not is_expression(part):
                    yield from _unsupported(members, part, f"{here}[]", f"{seen}[{number}]")


_PERMISSIONS = "permissions are not checked"
_NETWORK = "jobs share this machine's network"
_KEYS = "nothing is encrypted here"
_NO_IMAGE = "no image is pulled"
_HUB = "there is no model hub"
_ANSWER = "only the service sets it; omit it"
_TRAINING_PLANS = "there are no training plans"
_EXPERIMENTS = "no trial is created"

_PAGE = "NextToken MaxResults"
_SORTED_PAGE = f"{_PAGE} SortBy SortOrder"
_CREATION_TIMES = "CreationTimeAfter CreationTimeBefore"
_CREATED = "CreatedAfter CreatedBefore"
_TAGS = "Tags[].Key Tags[].Value"
_PARALLELISM = "ParallelismConfiguration.MaxParallelExecutionSteps"
_DEFINITION = "PipelineDefinition PipelineDefinitionS3Location.Bucket PipelineDefinitionS3Location.ObjectKey"
_NO_VERSIONS = {"PipelineDefinitionS3Location.VersionId": "S3 keeps no versions here"}

_JOBS: dict[str, Members] = {
    "CreateTrainingJob": Members(
        done=f"""
            TrainingJobName HyperParameters Environment EnableManagedSpotTraining {_TAGS}
            AlgorithmSpecification.TrainingImage AlgorithmSpecification.TrainingInputMode
            AlgorithmSpecification.ContainerEntrypoint AlgorithmSpecification.ContainerArguments
            AlgorithmSpecification.MetricDefinitions[].Name AlgorithmSpecification.MetricDefinitions[].Regex
            InputDataConfig[].ChannelName InputDataConfig[].ContentType InputDataConfig[].InputMode
            InputDataConfig[].CompressionType InputDataConfig[].RecordWrapperType
            InputDataConfig[].DataSource.S3DataSource.S3DataType InputDataConfig[].DataSource.S3DataSource.S3Uri
            InputDataConfig[].DataSource.S3DataSource.S3DataDistributionType
            OutputDataConfig.S3OutputPath OutputDataConfig.CompressionType
            ResourceConfig.InstanceType ResourceConfig.InstanceCount ResourceConfig.VolumeSizeInGB
            ResourceConfig.InstancePreferences[].InstanceType ResourceConfig.InstancePreferences[].InstanceCount
            StoppingCondition.MaxRuntimeInSeconds StoppingCondition.MaxWaitTimeInSeconds
            CheckpointConfig.S3Uri CheckpointConfig.LocalPath
        """,
        without_effect={
            "RoleArn": _PERMISSIONS,
            "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries": "the web UI draws its own curves",
            "AlgorithmSpecification.TrainingImageConfig": _NO_IMAGE,
            "OutputDataConfig.KmsKeyId": _KEYS,
            "ResourceConfig.VolumeKmsKeyId": _KEYS,
            "ResourceConfig.KeepAlivePeriodInSeconds": "a job starts at once, there is no pool to keep warm",
            "VpcConfig": _NETWORK,
            "EnableInterContainerTrafficEncryption": "the hosts of a job talk over loopback",
            "DebugHookConfig": "the debugger's hook is part of AWS's images",
            "DebugRuleConfigurations": "no rule is evaluated",
            "ExperimentConfig": _EXPERIMENTS,
            "ProfilerConfig": "nothing is profiled",
            "ProfilerRuleConfigurations": "nothing is profiled",
            "RetryStrategy": "a job is lost only with the server, and then ends as InternalServerError",
            "RemoteDebugConfig": "the job's processes are on this machine",
            "InfraCheckConfig": "there is no hardware to check",
            "SessionChainingConfig": _PERMISSIONS,
        },
        refused={
            "AlgorithmSpecification.AlgorithmName": "there is no Marketplace; set a training image",
            "InputDataConfig[].DataSource.FileSystemDataSource": "use S3DataSource",
            "InputDataConfig[].DataSource.DatasetSource": "use S3DataSource",
            "InputDataConfig[].DataSource.S3DataSource.AttributeNames": "use S3Prefix or ManifestFile",
            "InputDataConfig[].DataSource.S3DataSource.InstanceGroupNames": "there are no heterogeneous clusters",
            "InputDataConfig[].DataSource.S3DataSource.ModelAccessConfig": _HUB,
            "InputDataConfig[].DataSource.S3DataSource.HubAccessConfig": _HUB,
            "InputDataConfig[].ShuffleConfig": "objects come in the order of their keys",
            "ResourceConfig.InstanceGroups": "there are no heterogeneous clusters",
            "ResourceConfig.TrainingPlanArn": _TRAINING_PLANS,
            "ResourceConfig.InstancePlacementConfig": "there are no UltraServers",
            "ResourceConfig.InstancePreferences[].TrainingPlanArns": _TRAINING_PLANS,
            "ResourceConfig.SelectedInstanceType": _ANSWER,
            "ResourceConfig.SelectedInstanceCount": _ANSWER,
            "StoppingCondition.MaxPendingTimeInSeconds": "a job starts when a slot is free, however long that takes",
            "EnableNetworkIsolation": _NETWORK,
            "TensorBoardOutputConfig": "write to /opt/ml/output or to S3",
            "ServerlessJobConfig": "customising a model without instances needs AWS's own images",
            "MlflowConfig": "there is no MLflow server, set MLFLOW_TRACKING_URI in Environment",
            "ModelPackageConfig": "register the model with CreateModelPackage or a RegisterModel step",
        },
    ),
    "CreateProcessingJob": Members(
        done=f"""
            ProcessingJobName Environment {_TAGS}
            ProcessingInputs[].InputName ProcessingInputs[].S3Input.S3Uri ProcessingInputs[].S3Input.LocalPath
            ProcessingInputs[].S3Input.S3DataType ProcessingInputs[].S3Input.S3InputMode
            ProcessingInputs[].S3Input.S3DataDistributionType ProcessingInputs[].S3Input.S3CompressionType
            ProcessingOutputConfig.Outputs[].OutputName ProcessingOutputConfig.Outputs[].S3Output.S3Uri
            ProcessingOutputConfig.Outputs[].S3Output.LocalPath ProcessingOutputConfig.Outputs[].S3Output.S3UploadMode
            ProcessingResources.ClusterConfig.InstanceCount ProcessingResources.ClusterConfig.InstanceType
            ProcessingResources.ClusterConfig.InstancePreferences[].InstanceType
            ProcessingResources.ClusterConfig.InstancePreferences[].InstanceCount
            StoppingCondition.MaxRuntimeInSeconds
            AppSpecification.ImageUri AppSpecification.ContainerEntrypoint AppSpecification.ContainerArguments
        """,
        without_effect={
            "RoleArn": _PERMISSIONS,
            "ProcessingOutputConfig.KmsKeyId": _KEYS,
            "ProcessingResources.ClusterConfig.VolumeSizeInGB": "the disk of this machine is the limit",
            "ProcessingResources.ClusterConfig.VolumeKmsKeyId": _KEYS,
            "NetworkConfig.VpcConfig": _NETWORK,
            "NetworkConfig.EnableInterContainerTrafficEncryption": "the hosts of a job talk over loopback",
            "ExperimentConfig": _EXPERIMENTS,
        },
        refused={
            "ProcessingInputs[].AppManaged": "omit it: the server downloads the input",
            "ProcessingInputs[].DatasetDefinition": "use S3Input",
            "ProcessingOutputConfig.Outputs[].AppManaged": "omit it: the server uploads the output",
            "ProcessingOutputConfig.Outputs[].FeatureStoreOutput": "use S3Output",
            "ProcessingResources.ClusterConfig.SelectedInstanceType": _ANSWER,
            "ProcessingResources.ClusterConfig.SelectedInstanceCount": _ANSWER,
            "NetworkConfig.EnableNetworkIsolation": _NETWORK,
        },
    ),
    **{
        f"{verb}{kind}Job": Members(done=f"{kind}JobName")
        for kind in ("Training", "Processing")
        for verb in ("Describe", "Stop")
    },
    "ListTrainingJobs": Members(
        done=f"{_SORTED_PAGE} {_CREATION_TIMES} LastModifiedTimeAfter LastModifiedTimeBefore NameContains StatusEquals"
        " WarmPoolStatusEquals TrainingPlanArnEquals"
    ),
    "ListProcessingJobs": Members(
        done=f"{_SORTED_PAGE} {_CREATION_TIMES} LastModifiedTimeAfter LastModifiedTimeBefore NameContains StatusEquals"
    ),
}

_OF_TRIALS = (
    "RoleArn", "InputDataConfig", "VpcConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition",
    "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining", "CheckpointConfig",
    "RetryStrategy", "Environment", "AlgorithmSpecification.TrainingImage",
    "AlgorithmSpecification.TrainingInputMode", "AlgorithmSpecification.AlgorithmName",
    "AlgorithmSpecification.MetricDefinitions",
)  # fmt: skip
"""What a tuning job says of its training jobs, as CreateTrainingJob does."""


def _of_trials(path: str) -> bool:
    return any(path == member or path.startswith((f"{member}.", f"{member}[")) for member in _OF_TRIALS)


def _in_definition(paths: Mapping[str, str]) -> dict[str, str]:
    return {f"TrainingJobDefinition.{path}": reason for path, reason in paths.items() if _of_trials(path)}


_TRAINING = _JOBS["CreateTrainingJob"]
_CONFIG, _RANGES = "HyperParameterTuningJobConfig", "HyperParameterTuningJobConfig.ParameterRanges"
_RESOURCES = "TrainingJobDefinition.HyperParameterTuningResourceConfig"
_ONE_DEFINITION = "a tuning job has one TrainingJobDefinition here"

_TUNINGS: dict[str, Members] = {
    "CreateHyperParameterTuningJob": Members(
        done=f"""
            HyperParameterTuningJobName {_TAGS} {_CONFIG}.Strategy {_CONFIG}.RandomSeed
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
            f"{_RESOURCES}.VolumeKmsKeyId": _KEYS,
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
        done=f"{_SORTED_PAGE} {_CREATION_TIMES} LastModifiedTimeAfter LastModifiedTimeBefore NameContains StatusEquals"
    ),
    "ListTrainingJobsForHyperParameterTuningJob": Members(
        done=f"HyperParameterTuningJobName {_SORTED_PAGE} StatusEquals"
    ),
}

_SEARCH: dict[str, Members] = {
    "Search": Members(
        done=f"""
            Resource {_SORTED_PAGE} SearchExpression.Operator
            SearchExpression.Filters[].Name SearchExpression.Filters[].Operator SearchExpression.Filters[].Value
        """,
        without_effect={"CrossAccountFilterOption": "there is one account"},
        refused={
            "SearchExpression.NestedFilters": "use Filters",
            "SearchExpression.SubExpressions": "use Filters",
            "VisibilityConditions": "they are for internal use",
        },
    )
}

_PIPELINES: dict[str, Members] = {
    "CreatePipeline": Members(
        done=f"PipelineName PipelineDisplayName PipelineDescription {_DEFINITION} ClientRequestToken {_TAGS}"
        f" {_PARALLELISM} PipelineVersionAliases RoleArn",
        refused=_NO_VERSIONS,
    ),
    "UpdatePipeline": Members(
        done=f"PipelineName PipelineDisplayName PipelineDescription {_DEFINITION} {_PARALLELISM}"
        " PipelineVersionAliases RoleArn",
        refused=_NO_VERSIONS,
    ),
    "DescribePipeline": Members(done="PipelineName PipelineVersionId PipelineVersionAlias"),
    "ListPipelines": Members(done=f"PipelineNamePrefix {_CREATED} {_SORTED_PAGE} ManagedBy"),
    "DeletePipeline": Members(done="PipelineName ClientRequestToken"),
    "ListPipelineVersions": Members(done=f"PipelineName {_CREATED} SortOrder {_PAGE}"),
    "UpdatePipelineVersion": Members(
        done="PipelineArn PipelineVersionId PipelineVersionDisplayName PipelineVersionDescription"
        " PipelineVersionAliasOperations.Add PipelineVersionAliasOperations.Remove"
    ),
    "StartPipelineExecution": Members(
        done="PipelineName PipelineExecutionDisplayName PipelineExecutionDescription ClientRequestToken RoleArn"
        f" PipelineParameters[].Name PipelineParameters[].Value {_PARALLELISM} PipelineVersionId PipelineVersionAlias",
        refused={
            "SelectiveExecutionConfig": "start the whole pipeline, or use CacheConfig for the steps to skip",
            "MlflowExperimentName": "there is no MLflow server",
        },
    ),
    "StopPipelineExecution": Members(done="PipelineExecutionArn ClientRequestToken"),
    "RetryPipelineExecution": Members(done=f"PipelineExecutionArn ClientRequestToken {_PARALLELISM}"),
    "SendPipelineExecutionStepSuccess": Members(
        done="CallbackToken OutputParameters[].Name OutputParameters[].Value ClientRequestToken"
    ),
    "SendPipelineExecutionStepFailure": Members(done="CallbackToken FailureReason ClientRequestToken"),
    "UpdatePipelineExecution": Members(
        done=f"PipelineExecutionArn PipelineExecutionDescription PipelineExecutionDisplayName {_PARALLELISM}"
    ),
    "DescribePipelineExecution": Members(done="PipelineExecutionArn"),
    "DescribePipelineDefinitionForExecution": Members(done="PipelineExecutionArn"),
    "ListPipelineExecutions": Members(done=f"PipelineName PipelineVersionAlias {_CREATED} {_SORTED_PAGE}"),
    "ListPipelineExecutionSteps": Members(done=f"PipelineExecutionArn SortOrder {_PAGE}"),
    "ListPipelineParametersForExecution": Members(done=f"PipelineExecutionArn {_PAGE}"),
    "AddTags": Members(done=f"ResourceArn {_TAGS}"),
    "ListTags": Members(done=f"ResourceArn {_PAGE}"),
    "DeleteTags": Members(done="ResourceArn TagKeys"),
}

_MODELS: dict[str, Members] = {
    "CreateModel": Members(
        done=f"ModelName {_TAGS}",
        kept="PrimaryContainer Containers InferenceExecutionConfig ExecutionRoleArn VpcConfig EnableNetworkIsolation",
    ),
    "DescribeModel": Members(done="ModelName"),
    "DeleteModel": Members(done="ModelName"),
    "ListModels": Members(done=f"{_SORTED_PAGE} NameContains {_CREATION_TIMES}"),
    "CreateModelPackageGroup": Members(
        done=f"ModelPackageGroupName {_TAGS}",
        kept="ModelPackageGroupDescription",
        refused={"ManagedConfiguration": "models are not copied to managed storage"},
    ),
    "DescribeModelPackageGroup": Members(done="ModelPackageGroupName"),
    "DeleteModelPackageGroup": Members(done="ModelPackageGroupName"),
    "ListModelPackageGroups": Members(done=f"{_SORTED_PAGE} NameContains {_CREATION_TIMES} CrossAccountFilterOption"),
    "CreateModelPackage": Members(
        done=f"ModelPackageName ModelPackageGroupName ModelApprovalStatus ClientToken {_TAGS}",
        kept="""
            ModelPackageDescription ModelPackageRegistrationType InferenceSpecification SourceAlgorithmSpecification
            MetadataProperties ModelMetrics Domain Task SamplePayloadUrl CustomerMetadataProperties DriftCheckBaselines
            AdditionalInferenceSpecifications SkipModelValidation SourceUri ModelCard ModelLifeCycle
        """,
        without_effect={
            "ValidationSpecification": "nothing is validated; Describe returns it",
            "CertifyForMarketplace": "there is no Marketplace; Describe returns it",
            "SecurityConfig": f"{_KEYS}; Describe returns it",
        },
        refused={"ManagedStorageType": "models are not copied to managed storage"},
    ),
    "UpdateModelPackage": Members(
        done="ModelPackageArn CustomerMetadataProperties CustomerMetadataPropertiesToRemove ClientToken",
        kept="ModelApprovalStatus ApprovalDescription InferenceSpecification SourceUri ModelLifeCycle",
        refused={
            "AdditionalInferenceSpecificationsToAdd": "register another version",
            "ModelCard": "register another version",
            "ModelPackageRegistrationType": "register another version",
        },
    ),
    "DescribeModelPackage": Members(done="ModelPackageName", without_effect={"IncludedData": "all data is returned"}),
    "DeleteModelPackage": Members(done="ModelPackageName"),
    "ListModelPackages": Members(
        done=f"{_SORTED_PAGE} NameContains {_CREATION_TIMES} ModelApprovalStatus ModelPackageGroupName ModelPackageType"
    ),
}

_LOGS: dict[str, Members] = {
    "CreateLogGroup": Members(
        done="logGroupName",
        without_effect={
            "kmsKeyId": _KEYS,
            "logGroupClass": "all groups are stored the same way",
            "tags": "no action here reads them",
        },
        refused={"deletionProtectionEnabled": "a group can always be deleted"},
    ),
    "DeleteLogGroup": Members(done="logGroupName"),
    "CreateLogStream": Members(done="logGroupName logStreamName"),
    "DeleteLogStream": Members(done="logGroupName logStreamName"),
    "DescribeLogGroups": Members(
        done="logGroupNamePrefix nextToken limit",
        refused={
            "logGroupNamePattern": "use logGroupNamePrefix",
            "logGroupIdentifiers": "use logGroupNamePrefix",
            "logGroupClass": "all groups are stored the same way",
            "accountIdentifiers": "there is one account",
            "includeLinkedAccounts": "there is one account",
        },
    ),
    "DescribeLogStreams": Members(
        done="logGroupName logGroupIdentifier logStreamNamePrefix orderBy descending nextToken limit"
    ),
    "PutLogEvents": Members(
        done="logGroupName logStreamName logEvents[].timestamp logEvents[].message",
        without_effect={"sequenceToken": "the service ignores it, too", "entity": "no action here reads it"},
    ),
    "GetLogEvents": Members(
        done="logGroupName logGroupIdentifier logStreamName startTime endTime nextToken limit startFromHead",
        without_effect={"unmask": "nothing is masked"},
    ),
    "FilterLogEvents": Members(
        done="logGroupName logGroupIdentifier logStreamNames logStreamNamePrefix startTime endTime filterPattern"
        " nextToken limit startFromHead",
        without_effect={"interleaved": "events are always interleaved", "unmask": "nothing is masked"},
    ),
}

MEMBERS: dict[str, Members] = {**_JOBS, **_TUNINGS, **_SEARCH, **_PIPELINES, **_MODELS, **_LOGS}
"""By action; a step's arguments are the request of the action that the step calls."""
