"""Versions by display name, for an account or a boto3 whose API knows no version aliases.

A weaker promise than `deployment`: display names are not unique, so runs that find none at the same moment may leave
one version each. They all hold the same definition, and each run starts the version that it looked at.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.client import Fault, classify, error_text, explain
from airflow_sagemaker.aws.versions import upload_all
from airflow_sagemaker.exceptions import DeploymentError

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.definition.compiler import CompiledPipeline

ATTEMPTS = 3


def means_no_aliases(error: BaseException) -> bool:
    """Whether a call was refused because of the very parameter: our aliases themselves are always valid."""
    return classify(error) is Fault.INVALID and "PipelineVersionAlias" in error_text(error)


def version_named(aws: Aws, compiled: CompiledPipeline) -> int | None:
    """The newest version whose display name is the definition's; None when there is none, or no pipeline."""
    token: dict[str, str] = {}
    while True:
        try:
            page = aws.call(
                "sagemaker", "list_pipeline_versions",
                PipelineName=compiled.pipeline_name, SortOrder="Descending", MaxResults=100, **token,
            )  # fmt: skip
        except Exception as error:
            if classify(error) is Fault.NOT_FOUND:
                return None
            raise DeploymentError(explain(error, f"listing versions of {compiled.pipeline_name!r}")) from error
        for version in page.get("PipelineVersionSummaries", []):
            if version.get("PipelineVersionDisplayName") == compiled.version_alias:
                return int(version["PipelineVersionId"])
        if not page.get("NextToken"):
            return None
        token = {"NextToken": page["NextToken"]}


def deploy_named(aws: Aws, compiled: CompiledPipeline) -> int:
    """Create or update the pipeline, name the version that holds the definition, and return its number."""
    upload_all(aws, compiled)
    for _ in range(ATTEMPTS):
        try:
            _put(aws, compiled)
            version = _latest_with(aws, compiled)
        except Exception as error:
            raise DeploymentError(explain(error, f"deploying pipeline {compiled.pipeline_name!r}")) from error
        if version is not None:
            return version
    raise DeploymentError(
        f"pipeline {compiled.pipeline_name!r}: its latest version was another definition after each of {ATTEMPTS} "
        "updates; is somebody else changing the pipeline all the time?"
    )


def _put(aws: Aws, compiled: CompiledPipeline) -> None:
    definition = {"PipelineDefinition": compiled.definition, "RoleArn": compiled.role_arn}
    try:
        aws.call("sagemaker", "update_pipeline", PipelineName=compiled.pipeline_name, **definition)
    except Exception as error:
        if classify(error) is not Fault.NOT_FOUND:
            raise
    else:
        return
    try:
        aws.call(
            "sagemaker", "create_pipeline", PipelineName=compiled.pipeline_name,
            Tags=[{"Key": k, "Value": v} for k, v in sorted(compiled.tags.items())], **definition,
        )  # fmt: skip
    except Exception as error:
        if classify(error) is not Fault.CONFLICT:  # created by another run in between
            raise


def _latest_with(aws: Aws, compiled: CompiledPipeline) -> int | None:
    """The latest version, now bearing our name; None when it holds another definition."""
    name = compiled.pipeline_name
    page = aws.call("sagemaker", "list_pipeline_versions", PipelineName=name, SortOrder="Descending", MaxResults=1)
    version = int(page["PipelineVersionSummaries"][0]["PipelineVersionId"])
    described = aws.call("sagemaker", "describe_pipeline", PipelineName=name, PipelineVersionId=version)
    if json.loads(described["PipelineDefinition"]) != json.loads(compiled.definition):
        return None
    aws.call(
        "sagemaker", "update_pipeline_version", PipelineArn=described["PipelineArn"],
        PipelineVersionId=version, PipelineVersionDisplayName=compiled.version_alias,
    )  # fmt: skip
    aws.log.info("Pipeline %s: version %d is named %s", name, version, compiled.version_alias)
    return version
