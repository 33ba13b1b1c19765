"""Compiled pipelines on the local SageMaker, with boto3 alone: deployed, started, followed, and their results."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.definition.compiler import compile_pipeline
from local_sagemaker.testing import LocalSageMaker
from local_sagemaker.types import JsonObject


def step(definition: str, name: str = "Train") -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in json.loads(definition)["Steps"] if item["Name"] == name)
    return found


def substituted(arguments: JsonObject, parameters: dict[str, str]) -> JsonObject:
    """Return the arguments as SageMaker resolves them at a start."""
    return {name: _resolved(value, parameters) for name, value in arguments.items()}


def _resolved(value: object, parameters: dict[str, str]) -> object:
    if isinstance(value, list):
        return [_resolved(item, parameters) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Get"}:
        name = value["Get"].removeprefix("Parameters.")
        return int(parameters[name]) if name == "TrainingInstanceCount" else parameters[name]
    if set(value) == {"Std:Join"}:
        return value["Std:Join"]["On"].join(_resolved(item, parameters) for item in value["Std:Join"]["Values"])
    return substituted(value, parameters)


class Deployed:
    """The pipeline of a configuration, in its own bucket with an object in each channel."""

    def __init__(
        self, local_sagemaker: LocalSageMaker, config: PytorchTrainingConfig, channels: dict[str, bytes] | None = None
    ) -> None:
        self.s3, self.sagemaker = local_sagemaker.client("s3"), local_sagemaker.client("sagemaker")
        self.name = config.pipeline_name
        self.s3.create_bucket(Bucket=config.bucket)
        for channel, uri in config.channel_uris().items():
            key = uri.removeprefix(f"s3://{config.bucket}/")
            self.s3.put_object(Bucket=config.bucket, Key=key, Body=(channels or {}).get(channel, b"rows"))
        compiled = compile_pipeline(config)
        for upload in compiled.uploads:
            self.s3.put_object(Bucket=upload.bucket, Key=upload.key, Body=Path(upload.path).read_bytes())
        self.sagemaker.create_pipeline(
            PipelineName=self.name,
            PipelineDefinition=compiled.definition,
            RoleArn=compiled.role_arn,
            ClientRequestToken=self.name.ljust(32, "-"),
        )

    def start(self, config: PytorchTrainingConfig) -> str:
        """Start an execution with the values of a configuration; return its ARN."""
        parameters = [{"Name": name, "Value": value} for name, value in config.pipeline_parameters().items()]
        reply = self.sagemaker.start_pipeline_execution(PipelineName=self.name, PipelineParameters=parameters)
        return str(reply["PipelineExecutionArn"])

    def ended(self, arn: str) -> tuple[str, dict[str, dict[str, Any]]]:
        """Wait for the end of an execution; return its status and its steps by name."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            status = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
            if status not in ("Executing", "Stopping"):
                reply = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)
                return str(status), {step["StepName"]: step for step in reply["PipelineExecutionSteps"]}
            time.sleep(0.2)
        raise AssertionError(f"{arn} has not ended in time")

    def trained(self, arn: str) -> dict[str, Any]:
        """Wait for an execution that must succeed; return its training step."""
        status, steps = self.ended(arn)
        assert status == "Succeeded", steps
        return steps["Train"]

    def job(self, step: dict[str, Any]) -> dict[str, Any]:
        """Return the description of a step's training job."""
        name = step["Metadata"]["TrainingJob"]["Arn"].rsplit("/")[-1]
        return dict(self.sagemaker.describe_training_job(TrainingJobName=name))

    def model_file(self, step: dict[str, Any], name: str) -> bytes:
        """Return a file in a training step's model.tar.gz."""
        uri = self.job(step)["ModelArtifacts"]["S3ModelArtifacts"]
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return file_in_archive(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read(), name)


def file_in_archive(archive: bytes, name: str) -> bytes:
    """Return the content of a file in a tar.gz."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        file = opened.extractfile(next(one for one in opened.getnames() if one.removeprefix("./") == name))
        assert file is not None
        return file.read()
