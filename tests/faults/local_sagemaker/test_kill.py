"""kill -9 at every committed transition: no execution is lost, doubled or left in limbo."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from .conftest import Server, processes_of

ROLE = "arn:aws:iam::123456789012:role/LocalSageMakerRole"
TOKEN = "t" * 32
RETRY = [{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 20}]
LAST_COMMIT = 16
"""More commits than one run of the scenario makes; beyond it the server never crashes."""


def job(script: str) -> dict[str, Any]:
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10.0-cpu-py313-ubuntu22.04-sagemaker"
    return {
        "AlgorithmSpecification": {
            "TrainingImage": image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash", "-c", script],
        },
        "OutputDataConfig": {"S3OutputPath": "s3://kill/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "RoleArn": ROLE,
    }


def pipeline(script: str, retry: bool = True) -> str:
    train = {"Name": "Train", "Type": "Training", "Arguments": job(script)}
    if retry:
        train["RetryPolicies"] = RETRY
    test = {"Type": "Equals", "LeftValue": 1, "RightValue": 1}
    check = {"Name": "Check", "Type": "Condition", "DependsOn": ["Train"]}
    check["Arguments"] = {"Conditions": [test], "IfSteps": [], "ElseSteps": []}
    return json.dumps({"Version": "2020-12-01", "Steps": [train, check]})


def create(server: Server, script: str, retry: bool = True) -> None:
    # the token makes a second call after a crash harmless
    server.client("sagemaker").create_pipeline(
        PipelineName="kill", PipelineDefinition=pipeline(script, retry), RoleArn=ROLE, ClientRequestToken=TOKEN
    )


def start(server: Server) -> str:
    answer = server.client("sagemaker").start_pipeline_execution(PipelineName="kill", ClientRequestToken=TOKEN)
    return str(answer["PipelineExecutionArn"])


def wait_end(server: Server, arn: str, seconds: float = 60) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    client = server.client("sagemaker")
    while True:
        found: dict[str, Any] = client.describe_pipeline_execution(PipelineExecutionArn=arn)
        if found["PipelineExecutionStatus"] in ("Succeeded", "Failed", "Stopped"):
            return found
        assert time.monotonic() < deadline, (found, server.log()[-3000:])
        time.sleep(0.05)


def scenario(server: Server) -> str | None:
    """Create, start and watch to the end; None when the server died on the way."""
    try:
        create(server, "echo trained; sleep 0.2")
        arn = start(server)
        wait_end(server, arn)
        return arn
    except BotoCoreError:
        return None


def check_commit(serve: Callable[..., Server], data_dir: Path, number: int) -> bool:
    """Crash after that commit, go on with a new server; whether the first one crashed at all."""
    first = serve(data_dir, number)
    crashed = not first.is_ready or scenario(first) is None
    if crashed:
        first.process.wait(timeout=30)
    else:
        first.stop()
    second = serve(data_dir)
    create(second, "echo trained; sleep 0.2")
    arn = start(second)
    assert wait_end(second, arn)["PipelineExecutionStatus"] == "Succeeded", second.log()[-3000:]
    client = second.client("sagemaker")
    found = client.list_pipeline_executions(PipelineName="kill")["PipelineExecutionSummaries"]
    assert [item["PipelineExecutionArn"] for item in found] == [arn]
    steps = client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert {(step["StepName"], step["StepStatus"]) for step in steps} == {
        ("Train", "Succeeded"),
        ("Check", "Succeeded"),
    }
    jobs = client.list_training_jobs()["TrainingJobSummaries"]
    assert {item["TrainingJobStatus"] for item in jobs} <= {"Completed", "Failed"}
    assert sum(item["TrainingJobStatus"] == "Completed" for item in jobs) == 1
    second.stop()
    assert processes_of(data_dir) == []
    return crashed


@pytest.mark.parametrize("number", [4, 9])
def test_kill_after_a_commit(serve: Callable[..., Server], tmp_path: Path, number: int) -> None:
    assert check_commit(serve, tmp_path / "data", number)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_after_every_commit(serve: Callable[..., Server], tmp_path: Path) -> None:
    crashed = [check_commit(serve, tmp_path / f"data-{number}", number) for number in range(1, LAST_COMMIT + 1)]
    # the scenario's commits are all covered once the server no longer reaches the number
    assert crashed[0]
    assert not crashed[-1]


def test_job_of_a_killed_server_fails_with_a_reason_and_leaves_no_process(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    first = serve()
    create(first, "echo up; sleep 300", retry=False)
    arn = start(first)
    wait_executing(first, arn)
    first.kill()
    second = serve()
    assert wait_end(second, arn)["PipelineExecutionStatus"] == "Failed"
    step = second.client("sagemaker").list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"][
        0
    ]
    assert "the local SageMaker server ended while this job was running" in step["FailureReason"]
    assert processes_of(first.data_dir / "jobs") == []


def wait_executing(server: Server, arn: str) -> None:
    deadline = time.monotonic() + 30
    client = server.client("sagemaker")
    while True:
        jobs = client.list_training_jobs()["TrainingJobSummaries"]
        if (
            jobs
            and client.describe_training_job(TrainingJobName=jobs[0]["TrainingJobName"])["SecondaryStatus"]
            == "Training"
        ):
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_stop_that_was_answered_survives_the_kill(serve: Callable[..., Server]) -> None:
    first = serve()
    create(first, "trap '' TERM; echo up; sleep 300 & wait; sleep 300")
    arn = start(first)
    wait_executing(first, arn)
    first.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=arn)
    first.kill()
    second = serve()
    assert wait_end(second, arn)["PipelineExecutionStatus"] == "Stopped"
    jobs = second.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert [item["TrainingJobStatus"] for item in jobs] == ["Stopped"]


def test_logs_outlive_the_server(serve: Callable[..., Server]) -> None:
    first = serve()
    logs = first.client("logs")
    logs.create_log_group(logGroupName="/kept")
    logs.create_log_stream(logGroupName="/kept", logStreamName="s")
    logs.put_log_events(logGroupName="/kept", logStreamName="s", logEvents=[{"timestamp": 1, "message": "line"}])
    first.kill()
    found = serve().client("logs").get_log_events(logGroupName="/kept", logStreamName="s")["events"]
    assert [event["message"] for event in found] == ["line"]
