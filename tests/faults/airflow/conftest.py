"""A place to run killable workers against the local SageMaker, and to count what they started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.airflow.proxy import FaultProxy

ROOT = Path(__file__).resolve().parents[3]
ROLE = "arn:aws:iam::123456789012:role/LocalSageMakerRole"
HYPERPARAMETERS = {
    "id_name": "id",
    "label_name": "y",
    "full_field_list": ["id", "y", "a", "b"],
    "tab_field_list": ["a"],
    "cat_field_list": ["b"],
}
TRAIN = """
import argparse, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
seconds = parser.parse_known_args()[0].epochs
print("sleeping", seconds, flush=True)
for epoch in range(seconds):
    time.sleep(1)
    print(f"Train Loss: {1 / (epoch + 1):.6f}", flush=True)
"""


def connection_of(endpoint: str, s3_endpoint: str, bucket: str) -> str:
    extra = {
        "region_name": "us-east-1",
        "endpoint_url": endpoint,
        "config_kwargs": {
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "read_timeout": 60,
        },
        "service_config": {
            "s3": {"bucket_name": bucket, "endpoint_url": s3_endpoint},
            "sagemaker": {"execution_role_arn": ROLE},
        },
    }
    return json.dumps({"conn_type": "aws", "login": "test", "password": "test", "extra": extra})


def wait_until(condition: Any, what: str, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


@dataclass
class Worker:
    """One try of one task in a process of its own."""

    process: subprocess.Popen[bytes]
    result_file: Path
    log_file: Path
    store: Path

    def result(self, seconds: float = 90) -> dict[str, Any]:
        self.process.wait(seconds)
        assert self.result_file.exists(), f"the worker left no result:\n{self.log}"
        return dict(json.loads(self.result_file.read_text()))

    def kill_at(self, point: str) -> None:
        """SIGKILL when the worker has reached a halting point of its own."""
        wait_until(lambda: self.store.with_suffix(f".{point}").exists() or self.process.poll() is not None, point)
        assert self.process.poll() is None, self.log
        self.kill()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    @property
    def log(self) -> str:
        return self.log_file.read_text()


@dataclass
class Bench:
    """One pipeline and bucket of its own on the shared server, behind a proxy."""

    server: Any
    proxy: FaultProxy
    path: Path
    name: str
    seconds: int = 600
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sagemaker = self.server.client("sagemaker")
        self.s3 = self.server.client("s3")
        self.s3.create_bucket(Bucket=self.name)
        self.source = self.path / "source"
        self.source.mkdir()
        (self.source / "train.py").write_text(TRAIN)

    def config(self, **changes: Any) -> dict[str, Any]:
        return {
            "pipeline_name": self.name,
            "source_dir": str(self.source),
            "training_instance_type": "ml.m5.large",
            "profiler": None,
            "install_requirements": False,
            "distribution": "none",
            "hyperparameters": {**HYPERPARAMETERS, "epochs": self.seconds},
            **changes,
        }

    def put_channels(self, partition: str) -> None:
        for channel in ("train", "val", "test"):
            key = f"{self.name}/input/{partition}/{channel}/{channel}.parquet"
            self.s3.put_object(Bucket=self.name, Key=key, Body=b"PAR1")

    def environment(self) -> dict[str, str]:
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "AIRFLOW_CONN"))}
        connection = connection_of(self.proxy.url, self.server.env["AWS_ENDPOINT_URL_S3"], self.name)
        return {
            **keep,
            "AIRFLOW_CONN_AWS_DEFAULT": connection,
            "AIRFLOW_HOME": str(self.path / "airflow"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def work(self, *, halt: str = "", operator: dict[str, Any] | None = None, **task: Any) -> Worker:
        """Start one try; equal `run_id` and `map_index` mean the same task instance."""
        partition = task.setdefault("partition", "2013-07-04")
        self.put_channels(partition)
        number = len(self.workers)
        identity = f"{task.get('run_id', 'r')}-{task.get('map_index', -1)}"
        store = self.path / f"store-{identity}.json"
        result, log = self.path / f"result-{number}.json", self.path / f"worker-{number}.log"
        arguments = {"config": self.config(), "on_busy": "ignore", **(operator or {})}
        spec = self.path / f"spec-{number}.json"
        spec.write_text(
            json.dumps({"store": str(store), "result": str(result), "halt": halt, "operator": arguments, **task})
        )
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("worker.py")), str(spec)],
                env=self.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.path,
            )  # fmt: skip
        worker = Worker(process, result, log, store)
        self.workers.append(worker)
        return worker

    def executions(self) -> list[dict[str, Any]]:
        """All executions that the server knows of this pipeline."""
        try:
            pages = self.sagemaker.get_paginator("list_pipeline_executions").paginate(PipelineName=self.name)
            return [summary for page in pages for summary in page["PipelineExecutionSummaries"]]
        except self.sagemaker.exceptions.ResourceNotFound:
            return []

    def status(self, arn: str) -> str:
        return str(self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])

    def versions(self) -> list[dict[str, Any]]:
        return list(self.sagemaker.list_pipeline_versions(PipelineName=self.name)["PipelineVersionSummaries"])

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()
        for execution in self.executions():
            if execution["PipelineExecutionStatus"] == "Executing":
                self.sagemaker.stop_pipeline_execution(
                    PipelineExecutionArn=execution["PipelineExecutionArn"], ClientRequestToken=uuid.uuid4().hex
                )


@pytest.fixture
def bench(local_sagemaker: Any, tmp_path: Path) -> Iterator[Bench]:
    with FaultProxy(local_sagemaker.endpoint_url) as proxy:
        made = Bench(local_sagemaker, proxy, tmp_path, f"faults-{uuid.uuid4().hex[:12]}")
        try:
            yield made
        finally:
            made.close()
