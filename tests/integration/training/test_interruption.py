"""SIGTERM on the way that it takes in a container: through the shell and the drivers that the SDK's job starts."""

from __future__ import annotations

import io
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from airflow_sagemaker import PytorchTrainingConfig
from local_sagemaker.client.local_action import call_local_action
from local_sagemaker.testing import LocalSageMaker, start_local_sagemaker
from tests.support.deployed import Deployed
from tests.support.training_jobs import DEADLINE, FIELDS, SMALL, Job, make_table
from tests.support.waiting import wait_until

NAME = "interrupted"
STEPS = 41  # of an epoch


@pytest.fixture
def config(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PytorchTrainingConfig:
    """A spot job of this program that saves after every step."""
    monkeypatch.setenv("AIRFLOW_SAGEMAKER_CACHE_DIR", str(tmp_path / "cache"))
    return PytorchTrainingConfig(
        hyperparameters={**FIELDS, **SMALL, "checkpoint_minutes": 1e-9, "threads": 1},
        bucket=NAME,
        pipeline_name=NAME,
        role_arn="arn:aws:iam::123456789012:role/LocalSageMakerRole",
        region="us-east-1",
        partition="2013-07-04",
        source_dir=str(shipped),
        training_instance_type="ml.m5.large",
        install_requirements=False,
        use_spot_instances=True,
    )


class Running:
    """A training job of an execution, seen through the service alone."""

    def __init__(self, pipeline: Deployed, server: LocalSageMaker) -> None:
        self.pipeline, self.data_dir = pipeline, server.data_dir
        self.logs = server.client("logs")

    def job(self, arn: str, after: str = "") -> str:
        """Wait for an execution's training job, another one than `after`; return its name."""

        def found() -> str | None:
            steps = self.pipeline.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)
            jobs = [step.get("Metadata", {}).get("TrainingJob") for step in steps["PipelineExecutionSteps"]]
            names = [job["Arn"].rsplit("/")[-1] for job in jobs if job]
            return next((name for name in names if name != after), None)

        return str(wait_until(found, "the job", DEADLINE))

    def saved(self, job: str) -> int:
        """Steps of the newest checkpoint in the job's folder: in S3 it is seconds later, too late here."""
        folder = self.data_dir / "jobs" / "training" / job / "host-1" / "ml" / "checkpoints"
        return max((int(file.name.split("-")[1]) for file in folder.glob("checkpoint-*.pt")), default=0)

    def log(self, job: str) -> str:
        named = {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamNamePrefix": f"{job}/"}
        pages = self.logs.get_paginator("filter_log_events").paginate(**named)
        return "\n".join(event["message"] for page in pages for event in page["events"])


def first_process(job: str) -> int:
    """Return the process that the container was started with: the job's oldest one."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and f"TRAINING_JOB_NAME={job}\0" in (process / "environ").read_text():
                started = int((process / "stat").read_text().rpartition(")")[2].split()[19])
                found.append((started, int(process.name)))
        except OSError:
            continue
    return min(found)[1]


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[LocalSageMaker]:
    """A server with the whole grace: a busy machine may take seconds to save."""
    server = start_local_sagemaker(tmp_path / "server")
    yield server
    server.stop()


@pytest.mark.slow
def test_a_job_that_is_interrupted_ends_with_the_weights_of_one_that_was_not(
    config: PytorchTrainingConfig, finished: Job, patient: LocalSageMaker
) -> None:
    """First SIGTERM to the container's first process alone, as the service sends it; then a spot interruption."""
    channels = {
        split: (finished.channels / split / f"{split}.parquet").read_bytes() for split in ("train", "val", "test")
    }
    pipeline = Deployed(patient, config, channels)
    running = Running(pipeline, patient)
    arn = pipeline.start(config)
    first = running.job(arn)
    wait_until(lambda: running.saved(first) > 3, "a checkpoint", DEADLINE)
    os.kill(first_process(first), signal.SIGTERM)
    status, steps = pipeline.ended(arn)
    assert status == "Failed", steps  # for the server, nobody asked for this end
    assert "Interrupted: SIGTERM after step" in running.log(first)

    pipeline.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="again".ljust(32, "-"))
    second = running.job(arn, after=first)
    wait_until(lambda: running.saved(second) > STEPS + 3, "the second epoch", DEADLINE)
    call_local_action(patient.env, "InterruptTrainingJob", {"TrainingJobName": second})
    step = pipeline.trained(arn)
    told = re.findall(r"^(Resumed after epoch \d|Interrupted: SIGTERM)", running.log(second), re.MULTILINE)
    assert told == ["Resumed after epoch 0", "Interrupted: SIGTERM", "Resumed after epoch 1"]
    weights = torch.load(io.BytesIO(pipeline.model_file(step, "model.pt")), weights_only=True)
    assert all(torch.equal(weights[name], weight) for name, weight in finished.weights.items())


@pytest.mark.soak  # a validation of a million rows
def test_sigterm_does_not_wait_for_a_long_validation(shipped: Path, channels: Path, tmp_path: Path) -> None:
    large = tmp_path / "channels"
    (large / "val").mkdir(parents=True)
    for split in ("train", "test"):
        (large / split).symlink_to(channels / split)
    pq.write_table(pa.concat_tables([make_table(10_000, 1)] * 100), large / "val" / "val.parquet")
    job = Job(tmp_path / "job", shipped, large)
    process = job.start(epochs=1)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("Epoch 1/1"):  # the steps are done, validation begins
            process.send_signal(signal.SIGTERM)
            break
    log, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 143, log
    assert "Interrupted: SIGTERM after step 41 of epoch 1; saved" in log
    assert "Validation Loss" not in log
    resumed = job.run(epochs=1)
    assert "Resumed after epoch 0, step 41 of 41" in resumed
    assert "Epoch 1/1" not in resumed
    assert "Validation Loss" in resumed
