"""Clients, definitions and waiting, for tests that talk nothing but boto3.

The tests marked `aws` are the conformance suite: boto3 or the SDK, a role, a bucket and an image, nothing of this
server.

    pytest -m aws tests/integration/local_sagemaker                  # against a fresh local SageMaker
    export CONFORMANCE_ROLE_ARN=arn:aws:iam::...:role/... CONFORMANCE_BUCKET=my-bucket AWS_DEFAULT_REGION=eu-west-1
    pytest -m aws --timeout 7200 tests/integration/local_sagemaker   # against the account of boto3's credentials

On AWS every training step is a paid instance that takes minutes to start; tests not marked `aws` are skipped there, and
pipelines that `Service.create` made are deleted at the end, jobs and objects stay. The suite has NOT been run against
AWS so far: where a text is called guessed in docs/fidelity.md, a difference is to be expected and tells us the truth.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest
from botocore.exceptions import ClientError

AWS_ROLE = os.environ.get("CONFORMANCE_ROLE_ARN")
ON_AWS = AWS_ROLE is not None
ROLE = AWS_ROLE or "arn:aws:iam::123456789012:role/LocalSageMakerRole"
REGION = os.environ["AWS_DEFAULT_REGION"] if ON_AWS else "us-east-1"
IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/pytorch-training:2.10.0-cpu-py313-ubuntu22.04-sagemaker"
DEADLINE = 3600.0 if ON_AWS else 90.0
WAITS = "trap 'exit 143' TERM; echo up; sleep 600 & wait"
"""A script that runs until it is stopped."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if ON_AWS and item.path.is_relative_to(here) and "aws" not in item.keywords:
            item.add_marker(pytest.mark.skip(reason="about the local server, not about what AWS does"))


class Aws:
    """AWS itself in the place of the local server: boto3's own endpoints and credentials."""

    env: ClassVar = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}

    def client(self, service: str) -> Any:
        return boto3.client(service)


def definition(*steps: dict[str, Any], parameters: Sequence[dict[str, Any]] = ()) -> str:
    return json.dumps({"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)})


def training_arguments(script: str, output: Any, **changes: Any) -> dict[str, Any]:
    """A training job that runs a shell script in the container's place."""
    arguments: dict[str, Any] = {
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash", "-c", script],
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
        },
        "OutputDataConfig": {"S3OutputPath": output},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "RoleArn": ROLE,
    }
    return arguments | changes


def training(name: str, script: str, output: Any, **step: Any) -> dict[str, Any]:
    arguments = step.pop("Arguments", {})
    return {"Name": name, "Type": "Training", "Arguments": training_arguments(script, output, **arguments), **step}


def condition(name: str, left: Any, right: Any, **step: Any) -> dict[str, Any]:
    test = {"Type": "Equals", "LeftValue": left, "RightValue": right}
    return {
        "Name": name,
        "Type": "Condition",
        "Arguments": {"Conditions": [test], "IfSteps": step.pop("IfSteps", []), "ElseSteps": step.pop("ElseSteps", [])},
        **step,
    }


PASSES = condition("Check", 1, 1)


class Service:
    """One server's SageMaker and S3, with names that no other test uses."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.sagemaker = server.client("sagemaker")
        self.s3 = server.client("s3")
        self.created: list[str] = []
        if ON_AWS:
            self.bucket = os.environ["CONFORMANCE_BUCKET"]
        else:
            self.bucket = f"test-{uuid.uuid4().hex[:12]}"
            self.s3.create_bucket(Bucket=self.bucket)

    @property
    def output(self) -> str:
        return f"s3://{self.bucket}/output"

    def create(self, *steps: dict[str, Any], parameters: Sequence[dict[str, Any]] = (), **members: Any) -> str:
        name = f"pipeline-{uuid.uuid4().hex[:12]}"
        text = definition(*(steps or (PASSES,)), parameters=parameters)
        self.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE, **members)
        self.created.append(name)
        return name

    def start(self, pipeline: str, **members: Any) -> str:
        answer = self.sagemaker.start_pipeline_execution(PipelineName=pipeline, **members)
        return str(answer["PipelineExecutionArn"])

    def wait(self, arn: str, *statuses: str) -> dict[str, Any]:
        """The execution once it has one of the statuses, by default once it has ended."""
        wanted = statuses or ("Stopped", "Failed", "Succeeded")
        return poll(
            lambda: self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn),
            lambda answer: answer["PipelineExecutionStatus"] in wanted,
        )

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        answer = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)
        return {step["StepName"]: step for step in answer["PipelineExecutionSteps"]}

    def wait_step(self, arn: str, name: str, *statuses: str) -> dict[str, Any]:
        return poll(
            lambda: self.steps(arn).get(name, {}),
            lambda step: step.get("StepStatus") in statuses,
        )

    def job(self, arn: str, step: str) -> dict[str, Any]:
        job = self.steps(arn)[step]["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[-1]
        return self.sagemaker.describe_training_job(TrainingJobName=job)


def poll(read: Callable[[], Any], done: Callable[[Any], bool], seconds: float = DEADLINE) -> Any:
    deadline = time.monotonic() + seconds
    while not done(value := read()):
        assert time.monotonic() < deadline, f"still {value}"
        time.sleep(0.05)
    return value


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    made = Service(Aws() if ON_AWS else request.getfixturevalue("local_sagemaker"))
    yield made
    for name in made.created if ON_AWS else ():
        with contextlib.suppress(ClientError):  # deleted by its test, or still running
            made.sagemaker.delete_pipeline(PipelineName=name)
