"""Training jobs without an entry point, as SDK v2 makes them: `train` of the job Python runs them, or a refusal."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.testing import LocalSageMaker, start_local_sagemaker

from .conftest import Service, poll, training, training_arguments
from .test_pipelines import refused

HYPERPARAMETERS = {"sagemaker_program": '"train.py"', "sagemaker_submit_directory": '"s3://bucket/source.tar.gz"'}
TRAIN = f"""#!{sys.executable}
import json, os, sys
base = os.environ["SAGEMAKER_BASE_DIR"]
with open(base + "/input/config/hyperparameters.json") as stream:
    print("program", json.load(stream)["sagemaker_program"], "interpreter", sys.prefix)
with open(base + "/model/weights", "w") as stream:
    stream.write("w")
"""
"""In the place of sagemaker-training, which is no part of the project's environment."""


def without_entry_point(output: str, **changes: Any) -> dict[str, Any]:
    arguments = training_arguments("true", output, HyperParameters=HYPERPARAMETERS, **changes)
    del arguments["AlgorithmSpecification"]["ContainerEntrypoint"]
    return arguments


@pytest.fixture
def with_toolkit(tmp_path: Path) -> Iterator[LocalSageMaker]:
    python = tmp_path / "job" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    server = start_local_sagemaker(tmp_path / "data", "--job-python", str(python))
    yield server
    server.stop()


def test_the_refusal_says_how_to_get_the_toolkit(service: Service) -> None:
    text = (
        "AlgorithmSpecification without ContainerEntrypoint is not supported .* what the hyperparameters"
        " sagemaker_program and sagemaker_submit_directory name is run by sagemaker-training, which the job Python does"
        " not have: .*python.* -m pip install sagemaker-training"
    )
    with refused("ValidationException", text):
        service.sagemaker.create_training_job(**without_entry_point(service.output), TrainingJobName="refused")
    step = {"Name": "Train", "Type": "Training", "Arguments": without_entry_point(service.output)}
    with refused("ValidationException", f"Step 'Train': {text}"):
        service.create(step)


def test_arguments_for_an_entry_point_that_is_not_there(service: Service) -> None:
    arguments = without_entry_point(service.output)
    arguments["AlgorithmSpecification"]["ContainerArguments"] = ["--epochs", "1"]
    with refused("ValidationException", "ContainerArguments without ContainerEntrypoint is not supported"):
        service.sagemaker.create_training_job(**arguments, TrainingJobName="refused")


def test_the_toolkit_runs_a_job_and_a_step(with_toolkit: LocalSageMaker) -> None:
    service, name = Service(with_toolkit), f"toolkit-{uuid.uuid4().hex[:12]}"
    with refused("ValidationException", "without ContainerEntrypoint"):
        service.sagemaker.create_training_job(**without_entry_point(service.output), TrainingJobName=name)
    program = with_toolkit.data_dir.parent / "job" / "bin" / "train"
    program.write_text(TRAIN)  # as `pip install sagemaker-training` does while the server runs
    service.sagemaker.create_training_job(**without_entry_point(service.output), TrainingJobName=name)
    ended = poll(
        lambda: service.sagemaker.describe_training_job(TrainingJobName=name),
        lambda found: found["TrainingJobStatus"] != "InProgress",
    )
    assert ended["TrainingJobStatus"] == "Completed", ended
    logs = with_toolkit.client("logs").filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs")["events"]
    [line] = [event["message"] for event in logs if "interpreter" in event["message"]]
    assert line.startswith('program "train.py" interpreter ')
    assert str(with_toolkit.data_dir / "jobs") in line  # the job's environment, which pip may change
    key = ended["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{service.bucket}/")
    assert service.s3.head_object(Bucket=service.bucket, Key=key)["ContentLength"] > 0
    arn = service.start(
        service.create(training("Train", "true", service.output) | {"Arguments": without_entry_point(service.output)})
    )
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
