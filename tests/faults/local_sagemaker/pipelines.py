"""The pipeline "kill": its definition, its start, and what became of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

from tests.support.waiting import wait_until

from .conftest import Server

ROLE = "arn:aws:iam::123456789012:role/LocalSageMakerRole"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10.0-cpu-py313-ubuntu22.04-sagemaker"
PIPELINE = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/kill"
TOKEN = "t" * 32
RETRY = [{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 20}]
"""A job that is lost with its server runs again."""
Step = dict[str, Any]


def job(script: str) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash", "-c", script],
        },
        "OutputDataConfig": {"S3OutputPath": "s3://kill/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "RoleArn": ROLE,
    }


def training(name: str, script: str, **members: Any) -> Step:
    return {"Name": name, "Type": "Training", "Arguments": job(script), "RetryPolicies": RETRY, **members}


def condition(name: str, left: Any, *, after: str | None = None) -> Step:
    test = {"Type": "Equals", "LeftValue": left, "RightValue": 1}
    step = {"Name": name, "Type": "Condition", "Arguments": {"Conditions": [test], "IfSteps": [], "ElseSteps": []}}
    return step | ({"DependsOn": [after]} if after else {})


def definition(*steps: Step) -> str:
    return json.dumps({"Version": "2020-12-01", "Steps": list(steps)})


def create(server: Server, *steps: Step, **members: Any) -> None:
    server.client("sagemaker").create_pipeline(
        PipelineName="kill", PipelineDefinition=definition(*steps), RoleArn=ROLE, ClientRequestToken=TOKEN, **members
    )


def create_training(server: Server, script: str, *, retried: bool = True) -> None:
    """A pipeline of one training step, by default one that runs again when it was lost with its server."""
    create(server, training("Train", script, **({} if retried else {"RetryPolicies": []})))


def start(server: Server, token: str = TOKEN, **members: Any) -> str:
    answer = server.client("sagemaker").start_pipeline_execution(
        PipelineName="kill", ClientRequestToken=token, **members
    )
    return str(answer["PipelineExecutionArn"])


def wait_end(server: Server, arn: str, seconds: float = 60) -> dict[str, Any]:
    """The execution once it has ended."""
    deadline = time.monotonic() + seconds
    client = server.client("sagemaker")
    while True:
        found: dict[str, Any] = client.describe_pipeline_execution(PipelineExecutionArn=arn)
        if found["PipelineExecutionStatus"] in ("Succeeded", "Failed", "Stopped", "CompletedWithFailures"):
            return found
        assert time.monotonic() < deadline, (found, server.log()[-3000:])
        time.sleep(0.05)


def wait_training(server: Server, arn: str) -> None:
    """Until a training job's program runs, or the execution is not Executing any more."""
    client = server.client("sagemaker")

    def trains_or_ended() -> bool:
        jobs = client.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
        found = client.describe_pipeline_execution(PipelineExecutionArn=arn)
        return found["PipelineExecutionStatus"] != "Executing" or any(
            item["SecondaryStatus"] == "Training" for item in jobs
        )

    wait_until(trains_or_ended, "the training's program")


def succeed(server: Server, arn: str) -> None:
    found = wait_end(server, arn)
    assert found["PipelineExecutionStatus"] == "Succeeded", (steps(server, arn), server.log()[-3000:])


def steps(server: Server, arn: str) -> dict[str, Step]:
    answer = server.client("sagemaker").list_pipeline_execution_steps(PipelineExecutionArn=arn)
    return {step["StepName"]: step for step in answer["PipelineExecutionSteps"]}


def executions(server: Server) -> list[str]:
    """The executions of the pipeline, the oldest first."""
    answer = server.client("sagemaker").list_pipeline_executions(PipelineName="kill", SortOrder="Ascending")
    return [item["PipelineExecutionArn"] for item in answer["PipelineExecutionSummaries"]]


def job_ends(server: Server, kind: str = "Training") -> Counter[str]:
    """How the jobs ended; no other state is left."""
    client = server.client("sagemaker")
    listed = getattr(client, f"list_{kind.lower()}_jobs")()[f"{kind}JobSummaries"]
    ends = Counter(item[f"{kind}JobStatus"] for item in listed)
    assert set(ends) <= {"Completed", "Failed", "Stopped"}
    return ends


def statuses(server: Server, arn: str) -> dict[str, str]:
    return {name: step["StepStatus"] for name, step in steps(server, arn).items()}
