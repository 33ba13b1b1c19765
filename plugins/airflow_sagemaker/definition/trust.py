"""Whether a definition from a bucket may be used.

Write access to the bucket does not make its contents trustworthy, because they determine what runs and under which
role. SageMaker must have the same definition under its alias and role, which needs sagemaker:UpdatePipeline, and its
code must be this host's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_sagemaker.contract import version_alias
from airflow_sagemaker.definition.source_files import FIELDS_FILE

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws


class Distrusted(Exception):
    """The definition must not be used; the message says why."""


def require_deployed(aws: Aws, pipeline_name: str, role_arn: str, definition: str) -> None:
    """Raise Distrusted unless SageMaker has this definition, and botocore's error if the version does not exist."""
    alias = version_alias(hashlib.sha256(definition.encode()).hexdigest())
    version = aws.call("sagemaker", "describe_pipeline", PipelineName=pipeline_name, PipelineVersionAlias=alias)
    if json.loads(version["PipelineDefinition"]) != json.loads(definition):
        raise Distrusted(f"SageMaker has another definition under the alias {alias}")
    if version["RoleArn"] != role_arn:
        raise Distrusted(f"SageMaker runs it as {version['RoleArn']}, but the configuration has {role_arn}")


def require_own_code(shipped: Mapping[str, str], sources: Mapping[str, str]) -> None:
    """Raise Distrusted unless its code is this host's source_dir (sha256 by relative path)."""
    if _without_fields(shipped) != _without_fields(sources):
        raise Distrusted("its code differs from this host's source_dir")


def code_channels(definition: str) -> dict[str, str]:
    """Return the S3 URIs of the training step's channels `code` and `sm_drivers`.

    Without a training step, returns that of the input `code` of a Processing step.
    """
    steps = json.loads(definition)["Steps"]
    for step in steps:
        if step["Type"] == "Training":
            uris = {
                channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"]
                for channel in step["Arguments"]["InputDataConfig"]
            }
            return {name: str(uris[name]) for name in ("code", "sm_drivers")}
    for step in steps:
        inputs = step["Arguments"].get("ProcessingInputs", []) if step["Type"] == "Processing" else []
        named = [item["S3Input"]["S3Uri"] for item in inputs if item["InputName"] == "code"]
        if named:
            return {"code": str(named[0])}
    raise Distrusted("it has no step whose code is known")


def _without_fields(files: Mapping[str, str]) -> dict[str, str]:
    return {name: sha256 for name, sha256 in files.items() if name != FIELDS_FILE}
