"""The SageMaker session of the steps. Importing this module imports the SDK, which takes seconds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol, TypeVar

os.environ.setdefault("AWS_DEFAULT_REGION", os.environ.get("AWS_REGION", "us-east-1"))  # the import needs a region

import boto3
from sagemaker.core.config.config import load_sagemaker_config
from sagemaker.core.helper.iam_role_resolver import RoleValidationError, resolve_and_validate_role
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.workflow.pipeline_context import PipelineSession

from airflow_sagemaker.config.base import BasePipelineConfig
from airflow_sagemaker.config.merge import merge_arguments
from airflow_sagemaker.types import JsonObject

Config = TypeVar("Config", bound=BasePipelineConfig)
TELEMETRY_OFF: JsonObject = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


class Uploader(Protocol):
    """Uploads files immediately, or records them for the parent process."""

    def upload(self, files: Mapping[str, bytes], bucket: str, prefix: str) -> None:
        """Bring each file to s3://bucket/prefix/<relative path>."""


class SessionUploader:
    """Uploads with the SageMaker session, except files that exist already."""

    def __init__(self, session: PipelineSession) -> None:
        self._session = session
        self._done: set[str] = set()

    def upload(self, files: Mapping[str, bytes], bucket: str, prefix: str) -> None:
        """Bring each file to s3://bucket/prefix/<relative path>."""
        if f"{bucket}/{prefix}" in self._done:
            return
        client = self._session.boto_session.client("s3", region_name=self._session.boto_region_name)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        there = {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}
        for name, content in files.items():
            if there.get(f"{prefix}/{name}") != len(content):
                client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=content)
        self._done.add(f"{bucket}/{prefix}")


def configured_session(config: BasePipelineConfig) -> PipelineSession:
    """Return a session of the configuration's region and bucket, without the SDK's telemetry."""
    defaults = load_sagemaker_config()
    return PipelineSession(
        boto_session=boto3.Session(region_name=config.region),
        default_bucket=config.bucket,
        sagemaker_config=merge_arguments(
            defaults or {"SchemaVersion": "1.0"}, {"SageMaker": TELEMETRY_OFF["SageMaker"]}
        ),
    )


def completed_config(config: Config, session: PipelineSession) -> Config:
    """Return the configuration completed by the session, which calls AWS only for a missing role or bucket."""
    config = config.completed(region=session.boto_region_name)
    if config.role_arn is None:
        config = config.completed(role_arn=_default_role(session))
    if config.bucket is None:
        named = getattr(session, "_default_bucket_name_override", None)
        config = config.completed(bucket=session.default_bucket() if config.generates_paths else named)
    return config


def _default_role(session: Session) -> str | None:
    try:
        role: str = resolve_and_validate_role(role_type="training", sagemaker_session=session, validate_role=False)
    except RoleValidationError:
        return None
    return role
