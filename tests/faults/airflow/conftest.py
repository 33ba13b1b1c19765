"""A place to run killable workers against the local SageMaker, and to count what they started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.samples import HYPERPARAMETERS, TRAIN, connection_of
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
SDK_PYTHON = "AIRFLOW_SAGEMAKER_SDK_PYTHON"
"""Where this environment has no SDK, another one compiles."""


@dataclass
class Worker:
    """One try of one task in a process of its own."""

    pid: int
    result_file: Path
    log_file: Path
    store: Path

    @property
    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def result(self) -> dict[str, Any]:
        """What the try ended with: `returned` or `error` and `message`, and what it `pushed`."""
        wait_until(lambda: not self.alive, "the worker's end")
        assert self.result_file.exists(), f"the worker left no result:\n{self.log}"
        return {"returned": None, **json.loads(self.result_file.read_text())}

    def kill_at(self, point: str) -> None:
        """SIGKILL when the worker has reached a halting point of its own."""
        wait_until(lambda: self.store.with_suffix(f".{point}").exists() or not self.alive, point)
        assert self.alive, self.result_file.read_text() + self.log
        self.kill()

    def kill(self, signum: int = signal.SIGKILL) -> None:
        os.kill(self.pid, signum)
        if signum == signal.SIGKILL:
            wait_until(lambda: not self.alive, "the killed worker's end")

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""


@dataclass(frozen=True)
class Workshop:
    """What benches share, so that Airflow is imported and a definition compiled once per session."""

    path: Path
    bucket: str
    forge: subprocess.Popen[str]

    def fork(self, order: dict[str, Any]) -> int:
        """A new worker's pid."""
        assert self.forge.stdin is not None
        assert self.forge.stdout is not None
        self.forge.stdin.write(json.dumps(order) + "\n")
        self.forge.stdin.flush()
        while True:
            line = self.forge.stdout.readline()
            assert line, "the forge has died"
            if line.strip().isdigit():
                return int(line)

    @property
    def source(self) -> Path:
        return self.path / "source"


@dataclass
class Bench:
    """One DAG's name of its own on the shared server, behind a proxy; `name` is its pipeline."""

    server: Any
    proxy: FaultProxy
    s3_proxy: FaultProxy
    path: Path
    shop: Workshop
    name: str
    dag_id: str
    seconds: int = 600
    workers: list[Worker] = field(default_factory=list)
    assume_role: str = ""
    """A role that the connection names."""
    region: str | None = "us-east-1"
    """The region that the connection names."""
    settings: dict[str, str] = field(default_factory=dict)
    """Environment variables of the workers: Airflow's configuration."""

    def __post_init__(self) -> None:
        self.sagemaker = self.server.client("sagemaker")
        self.s3 = self.server.client("s3")

    def config(self, **changes: Any) -> dict[str, Any]:
        return {
            "pipeline_name": self.name,
            "source_dir": str(self.shop.source),
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
            self.s3.put_object(Bucket=self.shop.bucket, Key=key, Body=b"PAR1")

    def environment(self) -> dict[str, str]:
        connection = connection_of(
            self.server.env,
            self.proxy.url,
            self.shop.bucket,
            assume_role=self.assume_role,
            region=self.region,
            s3_endpoint=self.s3_proxy.url,
        )
        return {"AIRFLOW_CONN_AWS_DEFAULT": connection, **self.settings}

    def work(self, *, halt: str = "", operator: dict[str, Any] | None = None, **task: Any) -> Worker:
        """Start one try; equal `run_id` and `map_index` mean the same task instance."""
        partition = task.setdefault("partition", "2013-07-04")
        if partition and "{" not in partition:
            self.put_channels(partition)
        number = len(self.workers)
        identity = f"{task.get('run_id', 'r')}-{task.get('map_index', -1)}"
        store = self.path / f"store-{identity}.json"
        result, log = self.path / f"result-{number}.json", self.path / f"worker-{number}.log"
        arguments = {"config": self.config(), "on_busy": "ignore", **(operator or {})}
        spec = self.path / f"spec-{number}.json"
        spec.write_text(
            json.dumps(
                {
                    "store": str(store),
                    "result": str(result),
                    "halt": halt,
                    "operator": arguments,
                    "dag_id": self.dag_id,
                    **task,
                }
            )
        )
        pid = self.shop.fork({"spec": str(spec), "log": str(log), "env": self.environment()})
        worker = Worker(pid, result, log, store)
        self.workers.append(worker)
        return worker

    def stop(self, arn: str) -> None:
        """As a person would in the console."""
        self.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=uuid.uuid4().hex)
        wait_until(lambda: self.status(arn) == "Stopped", "the stop")

    def executions(self) -> list[dict[str, Any]]:
        """All executions that the server knows of this bench's DAG, newest first."""
        try:
            pages = self.sagemaker.get_paginator("list_pipeline_executions").paginate(PipelineName=self.name)
            found = [summary for page in pages for summary in page["PipelineExecutionSummaries"]]
            return [e for e in found if json.loads(e["PipelineExecutionDescription"])["dag_id"] == self.dag_id]
        except self.sagemaker.exceptions.ResourceNotFound:
            return []

    def status(self, arn: str) -> str:
        return str(self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])

    def parameters(self, arn: str) -> dict[str, str]:
        """What an execution was started with, with the definition's defaults."""
        reply = self.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
        return {parameter["Name"]: parameter["Value"] for parameter in reply["PipelineParameters"]}

    def versions(self) -> list[dict[str, Any]]:
        return list(self.sagemaker.list_pipeline_versions(PipelineName=self.name)["PipelineVersionSummaries"])

    def close(self) -> None:
        for worker in self.workers:
            if worker.alive:
                worker.kill()
        for execution in self.executions():
            if execution["PipelineExecutionStatus"] == "Executing":
                self.sagemaker.stop_pipeline_execution(
                    PipelineExecutionArn=execution["PipelineExecutionArn"], ClientRequestToken=uuid.uuid4().hex
                )


@pytest.fixture(scope="session")
def workshop(local_sagemaker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    path = tmp_path_factory.mktemp("workshop")
    bucket = f"faults-{uuid.uuid4().hex[:12]}"
    local_sagemaker.client("s3").create_bucket(Bucket=bucket)
    (path / "source").mkdir()
    (path / "source" / "train.py").write_text(TRAIN)
    with running_forge(path, ROOT) as forge:
        yield Workshop(path, bucket, forge)


@contextmanager
def running_forge(path: Path, root: Path) -> Iterator[subprocess.Popen[str]]:
    """The worker program of a source tree, with that tree's package."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "AIRFLOW")) or k == SDK_PYTHON},
        "AIRFLOW_HOME": str(path / "airflow"),
        "AIRFLOW_SAGEMAKER_CACHE_DIR": str(path / "cache"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": f"{root / 'plugins'}:{root}",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    program = root / "tests" / "faults" / "airflow" / "worker.py"
    with (path / "forge.log").open("w") as log:
        forge = subprocess.Popen(
            [sys.executable, str(program)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            text=True, cwd=path,
        )  # fmt: skip
    try:
        yield forge
    finally:
        forge.kill()
        forge.wait()


@pytest.fixture
def bench(local_sagemaker: Any, workshop: Workshop, tmp_path: Path) -> Iterator[Bench]:
    s3 = local_sagemaker.env["AWS_ENDPOINT_URL_S3"]
    with FaultProxy(local_sagemaker.endpoint_url) as proxy, FaultProxy(s3) as s3_proxy:
        made = Bench(local_sagemaker, proxy, s3_proxy, tmp_path, workshop, workshop.bucket, f"d-{uuid.uuid4().hex[:8]}")
        try:
            yield made
        finally:
            made.close()
