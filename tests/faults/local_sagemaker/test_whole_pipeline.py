"""A pipeline with nearly every type of step, written with an SDK, started by boto3, its server killed twice with -9."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until

from .conftest import Server, processes_of
from .pipelines import IMAGE, ROLE, statuses, steps
from .scenarios import FUNCTION, QUEUE, with_function, with_train

SDK_2 = os.environ.get("SAGEMAKER_SDK_V2_PYTHON")
"""An interpreter with SDK v2, which cannot be installed beside v3."""
STEPS = ("Prepare", "Tune", "Train", "GoodEnough", "Ask", "Call")
REGISTER = {"sdk_whole_pipeline.py": "Register", "sdk2_whole_pipeline.py": "Register-RegisterModel"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("program", "python"),
    [
        ("sdk_whole_pipeline.py", sys.executable),
        pytest.param(
            "sdk2_whole_pipeline.py", SDK_2,
            marks=pytest.mark.skipif(SDK_2 is None, reason="SAGEMAKER_SDK_V2_PYTHON names no interpreter with SDK v2"),
        ),
    ],
)  # fmt: skip
def test_a_whole_pipeline_survives_two_kills(
    serve: Callable[..., Server], tmp_path: Path, program: str, python: str
) -> None:
    folder = tmp_path / "data"
    options = (*with_train(folder), *with_function(folder))
    first = serve(folder, None, *options)
    create(first, python, program, tmp_path)
    arn = first.client("sagemaker").start_pipeline_execution(PipelineName="whole")["PipelineExecutionArn"]
    wait_until(lambda: "Tune" in steps(first, arn) and trials(first, steps(first, arn)["Tune"]), "a trial")
    first.kill()

    second = serve(folder, None, *options)
    wait_until(lambda: message(folder, arn) or ended_execution(second.client("sagemaker"), arn), "the message", 240)
    token = (message(folder, arn) or {}).get("token")
    assert token is not None, (steps(second, arn), second.log()[-3000:])
    second.kill()

    third = serve(folder, None, *options)
    third.client("sagemaker").send_pipeline_execution_step_success(
        CallbackToken=token, OutputParameters=[{"Name": "answer", "Value": "yes"}]
    )
    client = third.client("sagemaker")
    ended = wait_until(lambda: ended_execution(client, arn), "the end of the execution", 240)
    assert ended["PipelineExecutionStatus"] == "Succeeded", (steps(third, arn), third.log()[-3000:])
    assert statuses(third, arn) == dict.fromkeys((*STEPS, REGISTER[program]), "Succeeded")
    found = steps(third, arn)
    name = found["Tune"]["Metadata"]["TuningJob"]["Arn"].rsplit("/", 1)[-1]
    tuning = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert tuning["TrainingJobStatusCounters"]["Completed"] == 3
    [package] = client.list_model_packages(ModelPackageGroupName="whole")["ModelPackageSummaryList"]
    assert found[REGISTER[program]]["Metadata"]["RegisterModel"]["Arn"] == package["ModelPackageArn"]
    body = message(folder, arn) or {}
    assert body["arguments"] == {"package": package["ModelPackageArn"]}
    assert len((tmp_path / "calls").read_text().split()) == 1
    third.stop()
    assert processes_of(folder) == []


def create(server: Server, python: str, program: str, folder: Path) -> None:
    server.client("s3").create_bucket(Bucket="whole")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")} | server.env
    arguments = ["whole", ROLE, "whole", IMAGE, QUEUE, FUNCTION]
    done = subprocess.run(
        [python, str(Path(__file__).with_name(program)), *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stderr[-3000:], server.log()[-3000:])


def trials(server: Server, step: dict[str, Any]) -> list[dict[str, Any]]:
    """The training jobs of a tuning step that run."""
    arn = (step.get("Metadata") or {}).get("TuningJob", {}).get("Arn")
    if arn is None:
        return []
    answer = server.client("sagemaker").list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=arn.rsplit("/", 1)[-1]
    )
    return [job for job in answer["TrainingJobSummaries"] if "TrainingStartTime" in job]


def message(folder: Path, arn: str) -> dict[str, Any] | None:
    for path in (folder / "callbacks").glob("*/*.json"):
        body: dict[str, Any] = json.loads(path.read_text())
        if body["pipelineExecutionArn"] == arn:
            return body
    return None


def ended_execution(client: Any, arn: str) -> dict[str, Any] | None:
    found: dict[str, Any] = client.describe_pipeline_execution(PipelineExecutionArn=arn)
    return found if found["PipelineExecutionStatus"] != "Executing" else None
