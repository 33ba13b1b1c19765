"""A job supervisor over a real S3 and a real CloudWatch Logs (moto), without the rest of the server."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_sagemaker.jobs.spec import JobSpec
from local_sagemaker.jobs.supervisor import JobSupervisor
from local_sagemaker.s3.server import S3Server, listen, port_of
from local_sagemaker.types import BotoClient
from tests.support.waiting import wait_until

BUCKET = "jobs-bucket"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313"
ROLE = "arn:aws:iam::123456789012:role/LocalSageMakerRole"
DEADLINE = 90
WAITS = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143));"
    " print('on', flush=True); time.sleep(600)"
)
"""A program that runs until it is stopped."""
TERMINAL = {"Completed", "Failed", "Stopped"}


def processes_with(mark: str) -> list[int]:
    """Return all processes whose environment or command line contains `mark`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if mark.encode() in text and state != "Z":
            found.append(int(entry.name))
    return found


@dataclass
class Recorder:
    """Replaces the API: stores what the jobs report."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, list[str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def changed(self, arn: str, changes: Mapping[str, Any]) -> None:
        with self.lock:
            self.records.setdefault(arn, {}).update(changes)
            status = changes.get("SecondaryStatus") or changes.get("ProcessingJobStatus")
            if status:
                self.history.setdefault(arn, []).append(status)


@dataclass
class Backend:
    """Running S3 and Logs servers."""

    env: dict[str, str]
    s3_folder: Path

    def client(self, service: str) -> BotoClient:
        url = self.env["AWS_ENDPOINT_URL_S3"] if service == "s3" else self.env["AWS_ENDPOINT_URL"]
        return boto3.Session(
            self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1"
        ).client(service, endpoint_url=url)

    def put(self, key: str, content: str | bytes) -> None:
        body = content.encode() if isinstance(content, str) else content
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)

    def path(self, key: str) -> Path:
        return self.s3_folder / BUCKET / key

    def read(self, key: str) -> bytes:
        return self.path(key).read_bytes()


@contextmanager
def running_backend(folder: Path) -> Iterator[Backend]:
    from moto.server import ThreadedMotoServer

    s3_folder = folder / "s3"
    (s3_folder / BUCKET).mkdir(parents=True)
    listener = listen("127.0.0.1", 0)
    assert listener is not None
    keys = {"access_key": "local", "secret_key": "locallocal"}
    s3 = S3Server(s3_folder, listener, log_file=folder / "s3.log", **keys)
    s3.start()
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        _, moto_port = moto.get_host_and_port()
        env = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{moto_port}",
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port_of(listener)}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "locallocal",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        backend = Backend(env, s3_folder)
        yield backend
    finally:
        moto.stop()
        s3.stop()


class Jobs:
    """A supervisor with its recorder."""

    def __init__(self, backend: Backend, data_dir: Path, **options: Any) -> None:
        self.backend = backend
        self.data_dir = data_dir
        self.events = Recorder()
        settings: dict[str, Any] = {"max_jobs": 2, "job_python": sys.executable, "stop_grace_seconds": 10, **options}
        self.supervisor = JobSupervisor(data_dir, client_env=backend.env, events=self.events, **settings)

    @staticmethod
    def arn(kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:us-east-1:123456789012:{kind}-job/{name}"

    def submit(self, name: str, request: dict[str, Any], kind: str = "training") -> str:
        arn = self.arn(kind, name)
        self.events.records.pop(arn, None)
        self.supervisor.submit(JobSpec(kind, name, arn, request))  # type: ignore[arg-type]
        return arn

    def status(self, arn: str) -> str | None:
        record = self.events.records.get(arn, {})
        return record.get("TrainingJobStatus") or record.get("ProcessingJobStatus")

    def wait(self, arn: str, deadline: float = DEADLINE) -> dict[str, Any]:
        wait_until(lambda: self.status(arn) in TERMINAL, f"{arn} ends", deadline)
        return self.events.records[arn]

    def wait_for_log(self, name: str, text: str, kind: str = "training", host: int = 1) -> None:
        path = self.data_dir / "jobs" / kind / name / f"host-{host}" / "output.log"
        wait_until(lambda: path.exists() and text in path.read_text(errors="replace"), f"{text!r} in the log of {name}")

    def log(self, name: str, kind: str = "training", host: int = 1) -> str:
        return (self.data_dir / "jobs" / kind / name / f"host-{host}" / "output.log").read_text(errors="replace")

    def run(self, name: str, request: dict[str, Any], kind: str = "training") -> dict[str, Any]:
        return self.wait(self.submit(name, request, kind))


def training_request(command: list[str], **members: object) -> dict[str, Any]:
    """Return a CreateTrainingJob request whose container runs `command`."""
    request: dict[str, Any] = {
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": command,
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    for name, value in members.items():
        if isinstance(request.get(name), dict):
            request[name] = {**request[name], **value}
        else:
            request[name] = value
    return request


def script_request(text: str, **members: object) -> dict[str, Any]:
    """Return a training job with a Python script, without the SDK's drivers."""
    return training_request(["python3", "-c", text], **members)


def channel(name: str, key: str, **source: str) -> dict[str, Any]:
    """Return a channel for an S3 prefix."""
    s3 = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{key}", "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": {**s3, **source}}, "InputMode": "File"}


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running_backend(tmp_path_factory.mktemp("backend")) as found:
        yield found


@pytest.fixture(scope="module")
def jobs(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    found = Jobs(backend, tmp_path_factory.mktemp("jobs"))
    yield found
    found.supervisor.shutdown()


@pytest.fixture(scope="module")
def rewriting_jobs(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    found = Jobs(backend, tmp_path_factory.mktemp("rewriting-jobs"), rewrite_paths=True)
    yield found
    found.supervisor.shutdown()


def load_json(text: str) -> Any:
    return json.loads(text)
