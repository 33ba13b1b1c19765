"""The keys that we read from AWS's responses, with the types of botocore's model.

Most are `total=False`, because AWS omits members without a value; required members are read with `[...]`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol, Required, TypeAlias, TypedDict

from airflow_sagemaker.types import JsonObject

Response: TypeAlias = Any
"""A response as botocore parses it; the caller casts it to the type of its operation."""


class ExecutionSummary(TypedDict, total=False):
    """One of ListPipelineExecutions."""

    PipelineExecutionArn: Required[str]
    StartTime: datetime
    PipelineExecutionStatus: str
    PipelineExecutionDescription: str
    PipelineExecutionDisplayName: str
    PipelineExecutionFailureReason: str
    PipelineVersionAliases: list[str]


class ExecutionPage(TypedDict, total=False):
    """ListPipelineExecutions."""

    PipelineExecutionSummaries: list[ExecutionSummary]


class ExecutionDescription(TypedDict, total=False):
    """DescribePipelineExecution."""

    PipelineExecutionArn: Required[str]
    PipelineExecutionStatus: str
    PipelineExecutionDisplayName: str
    PipelineExecutionDescription: str
    FailureReason: str
    CreationTime: datetime
    LastModifiedTime: datetime
    PipelineVersionAliases: list[str]


class StartedExecution(TypedDict):
    """StartPipelineExecution."""

    PipelineExecutionArn: str


class ExecutedDefinition(TypedDict):
    """DescribePipelineDefinitionForExecution."""

    PipelineDefinition: str


class _Parameter(TypedDict):
    Name: str
    Value: str


class ParameterPage(TypedDict, total=False):
    """ListPipelineParametersForExecution."""

    PipelineParameters: list[_Parameter]


class StepSummary(TypedDict, total=False):
    """One of ListPipelineExecutionSteps."""

    StepName: str
    StepStatus: str
    StartTime: datetime
    EndTime: datetime
    CacheHitResult: object
    FailureReason: str
    AttemptCount: int
    Metadata: dict[str, JsonObject]
    """One member, named after the step's type; for most types it has the job's `Arn`."""


class StepPage(TypedDict, total=False):
    """ListPipelineExecutionSteps."""

    PipelineExecutionSteps: list[StepSummary]


class PipelineDescription(TypedDict, total=False):
    """DescribePipeline."""

    PipelineArn: Required[str]
    PipelineDefinition: Required[str]
    RoleArn: str
    LastModifiedTime: datetime


class _Version(TypedDict, total=False):
    PipelineVersionId: Required[int]
    PipelineVersionAliases: list[str]


class VersionPage(TypedDict):
    """ListPipelineVersions."""

    PipelineVersionSummaries: list[_Version]


class _Tag(TypedDict):
    Key: str
    Value: str


class TagPage(TypedDict, total=False):
    """ListTags."""

    Tags: list[_Tag]


class ResourceConfig(TypedDict, total=False):
    """Instances, in DescribeTrainingJob."""

    InstanceType: str
    SelectedInstanceType: str


class _Artifacts(TypedDict, total=False):
    S3ModelArtifacts: str


class _S3Place(TypedDict, total=False):
    S3Uri: str


class _Output(TypedDict, total=False):
    S3OutputPath: str


class _Metric(TypedDict):
    MetricName: str
    Value: float


class TrainingJobDescription(TypedDict, total=False):
    """DescribeTrainingJob."""

    TrainingJobName: Required[str]
    TrainingJobStatus: str
    ModelArtifacts: _Artifacts
    CheckpointConfig: _S3Place
    OutputDataConfig: _Output
    ResourceConfig: ResourceConfig
    FinalMetricDataList: list[_Metric]
    BillableTimeInSeconds: int


class _ProcessingOutput(TypedDict, total=False):
    OutputName: Required[str]
    S3Output: _S3Place


class _ProcessingOutputConfig(TypedDict, total=False):
    Outputs: list[_ProcessingOutput]


class ProcessingJobDescription(TypedDict, total=False):
    """DescribeProcessingJob."""

    ProcessingOutputConfig: _ProcessingOutputConfig


class _Container(TypedDict, total=False):
    ModelDataUrl: str


class _InferenceSpecification(TypedDict, total=False):
    Containers: list[_Container]


class ModelPackageDescription(TypedDict, total=False):
    """DescribeModelPackage."""

    ModelPackageArn: Required[str]
    ModelApprovalStatus: str
    ApprovalDescription: str
    CustomerMetadataProperties: dict[str, str]
    InferenceSpecification: _InferenceSpecification


class _ModelPackage(TypedDict, total=False):
    ModelPackageArn: Required[str]
    ModelApprovalStatus: str
    ModelPackageDescription: str


class ModelPackagePage(TypedDict):
    """ListModelPackages."""

    ModelPackageSummaryList: list[_ModelPackage]


class RegisteredModelPackage(TypedDict):
    """CreateModelPackage."""

    ModelPackageArn: str


class _LogStream(TypedDict):
    logStreamName: str


class LogStreamPage(TypedDict, total=False):
    """DescribeLogStreams."""

    logStreams: list[_LogStream]


class _LogEvent(TypedDict):
    timestamp: int
    message: str


class LogEventPage(TypedDict, total=False):
    """GetLogEvents."""

    events: list[_LogEvent]
    nextForwardToken: str


class _Quota(TypedDict):
    QuotaName: str
    Value: float


class QuotaPage(TypedDict):
    """ListServiceQuotas."""

    Quotas: list[_Quota]


class ObjectHead(TypedDict, total=False):
    """HeadObject."""

    ContentLength: int


class Body(Protocol):
    """The content of an object, read from the connection."""

    def read(self) -> bytes:
        """Return all of it."""
        ...


class StoredObject(TypedDict):
    """GetObject."""

    Body: Body
    ETag: str


class WrittenObject(TypedDict):
    """PutObject."""

    ETag: str
