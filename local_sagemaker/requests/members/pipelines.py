"""Pipelines, their versions and executions, tags."""

from __future__ import annotations

from local_sagemaker.requests.members.declaration import PAGE, SORTED_PAGE, TAGS, Members

_CREATED = "CreatedAfter CreatedBefore"
_PARALLELISM = "ParallelismConfiguration.MaxParallelExecutionSteps"
_DEFINITION = "PipelineDefinition PipelineDefinitionS3Location.Bucket PipelineDefinitionS3Location.ObjectKey"
_NO_VERSIONS = {"PipelineDefinitionS3Location.VersionId": "S3 keeps no versions here"}

PIPELINES: dict[str, Members] = {
    "CreatePipeline": Members(
        done=f"PipelineName PipelineDisplayName PipelineDescription {_DEFINITION} ClientRequestToken {TAGS}"
        f" {_PARALLELISM} PipelineVersionAliases RoleArn",
        refused=_NO_VERSIONS,
    ),
    "UpdatePipeline": Members(
        done=f"PipelineName PipelineDisplayName PipelineDescription {_DEFINITION} {_PARALLELISM}"
        " PipelineVersionAliases RoleArn",
        refused=_NO_VERSIONS,
    ),
    "DescribePipeline": Members(done="PipelineName PipelineVersionId PipelineVersionAlias"),
    "ListPipelines": Members(done=f"PipelineNamePrefix {_CREATED} {SORTED_PAGE} ManagedBy"),
    "DeletePipeline": Members(done="PipelineName ClientRequestToken"),
    "ListPipelineVersions": Members(done=f"PipelineName {_CREATED} SortOrder {PAGE}"),
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
    "ListPipelineExecutions": Members(done=f"PipelineName PipelineVersionAlias {_CREATED} {SORTED_PAGE}"),
    "ListPipelineExecutionSteps": Members(done=f"PipelineExecutionArn SortOrder {PAGE}"),
    "ListPipelineParametersForExecution": Members(done=f"PipelineExecutionArn {PAGE}"),
    "AddTags": Members(done=f"ResourceArn {TAGS}"),
    "ListTags": Members(done=f"ResourceArn {PAGE}"),
    "DeleteTags": Members(done="ResourceArn TagKeys"),
}
