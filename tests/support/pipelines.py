"""Pipelines with one small shell script each, without the SDK, on the shared local SageMaker."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.executions import Executions
from airflow_sagemaker.aws.stopping import stop_execution
from airflow_sagemaker.aws.versions import CompiledPipeline, deploy_pipeline
from airflow_sagemaker.start.record import display_name
from airflow_sagemaker.types import BotoClient
from local_sagemaker.testing import LocalSageMaker
from tests.support.samples import ROLE

TARGET = AwsTarget("local_sagemaker")


WAITS = "trap 'exit 143' TERM; sleep 6000 & wait"
"""A script that runs until it is stopped."""


def compiled(name: str, steps: list[dict[str, Any]]) -> CompiledPipeline:
    """Return a definition with these steps."""
    definition = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps})
    digest = hashlib.sha256(definition.encode()).hexdigest()
    return CompiledPipeline(name, definition, digest, ROLE, (), {"team": "tests"}, "us-east-1")


def script_step(bucket: str, script: str, name: str = "Train") -> dict[str, Any]:
    """Return a training step that runs a shell script."""
    return {
        "Name": name,
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {
                "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["/bin/bash", "-c", script],
                "MetricDefinitions": [{"Name": "Train Loss", "Regex": "Train Loss: ([0-9.]+)"}],
            },
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/output/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "RoleArn": ROLE,
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        },
    }


@dataclass(eq=False)
class Pipelines:
    """Creates pipelines and executions, and stops those that are still running."""

    server: LocalSageMaker
    bucket: str
    started: list[str] = field(default_factory=list)

    @cached_property
    def executions(self) -> Executions:
        return self.another()

    def another(self) -> Executions:
        """Return executions as of another worker, but with the same boto3 clients (thread-safe, and slow to create)."""
        aws = Aws(TARGET, logging.getLogger("test"))
        for service in ("sagemaker", "s3", "logs"):
            aws._clients[service] = self._client(service)
        return Executions(aws)

    @cache  # noqa: B019 - lives as long as the test
    def _client(self, service: str) -> BotoClient:
        return TARGET.client(service)

    def deployed(self, script: str, name: str = "") -> CompiledPipeline:
        made = compiled(name or f"p-{uuid.uuid4().hex[:10]}", [script_step(self.bucket, script)])
        deploy_pipeline(self.executions.aws, made)
        return made

    def start(self, made: CompiledPipeline, *, partition: str = "2013-07-04", owner: str = "{}") -> str:
        token = uuid.uuid4().hex
        arn = self.executions.start(
            made.pipeline_name,
            version={"PipelineVersionAlias": made.version_alias},
            display_name=display_name(partition, token),
            token=token,
            parameters={},
            description=owner,
        )
        assert arn is not None
        self.started.append(arn)
        return arn

    def stop_all(self) -> None:
        for arn in self.started:
            stop_execution(self.executions, arn)
