"""Jobs that fail, through the drivers that are shipped: the reason is the program's own, and the last line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_sagemaker import PytorchTrainingConfig
from local_sagemaker.testing import LocalSageMaker
from tests.support.deployed import Deployed
from tests.support.training_jobs import FIELDS, SMALL, make_table

OWN = """
import json, os

def load(hyperparameters):
    return hyperparameters["price"]

print("reading")
load(json.loads(os.environ["SM_HPS"]))
"""


def fail(server: LocalSageMaker, name: str, source: Path, entry: str) -> tuple[str, list[str]]:
    """Run a training that lacks a column; return the step's reason and the job's log."""
    config = PytorchTrainingConfig(
        hyperparameters={**FIELDS, **SMALL},
        bucket=name,
        pipeline_name=name,
        role_arn="arn:aws:iam::123456789012:role/LocalSageMakerRole",
        region="us-east-1",
        partition="2013-07-04",
        source_dir=str(source),
        training_entry_point=entry,
        training_instance_type="ml.m5.large",
        install_requirements=False,
    )
    file = io.BytesIO()
    pq.write_table(make_table(100, 0).drop_columns(["age"]), file)
    channels = dict.fromkeys(("train", "val", "test"), file.getvalue())
    pipeline = Deployed(server, config, channels)
    status, steps = pipeline.ended(pipeline.start(config))
    assert status == "Failed"
    job: dict[str, Any] = pipeline.job(steps["Train"])
    logs = server.client("logs").get_paginator("filter_log_events")
    named = {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamNamePrefix": f"{job['TrainingJobName']}/"}
    return job["FailureReason"], [event["message"] for page in logs.paginate(**named) for event in page["events"]]


def test_the_reason_is_the_programs_own_and_the_last_line(
    local_sagemaker: LocalSageMaker, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_SAGEMAKER_CACHE_DIR", str(tmp_path / "cache"))
    reason, log = fail(local_sagemaker, "lacks-a-column", shipped, "train.py")
    assert reason.startswith("AlgorithmError: channel train: ")
    assert "lacks column age; it has row id, late, größe" in reason
    assert log[-1].startswith("Error: channel train: ")
    assert not [line for line in log if "Traceback" in line or "Environment Variables" in line]
    assert len(log) < 40

    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "main.py").write_text(OWN)
    reason, log = fail(local_sagemaker, "own-program", tmp_path / "own", "main.py")
    assert reason == "AlgorithmError: KeyError: 'price' (main.py, line 5), exit code: 1"
    assert log[-1] == "Training failed: KeyError: 'price' (main.py, line 5)"
