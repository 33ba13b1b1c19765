"""What all tests share: the options, and one local SageMaker for the whole session."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow (minutes each)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # last, because Playwright keeps an event loop running for the rest of the session, where asyncio.run is refused
    items.sort(key=lambda item: "browser" in item.keywords)
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="takes minutes: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@dataclass
class LocalSageMaker:
    """A running `python -m local_sagemaker serve`: its process, its environment lines and its folder."""

    process: subprocess.Popen[str]
    env: dict[str, str]
    data_dir: Path

    @property
    def endpoint_url(self) -> str:
        return self.env["AWS_ENDPOINT_URL"]

    def client(self, service: str, **kwargs: Any) -> Any:
        """A boto3 client of this server, whatever the surrounding environment says."""
        import boto3
        from botocore.config import Config

        url = self.env["AWS_ENDPOINT_URL_S3"] if service == "s3" else self.endpoint_url
        config = Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"max_attempts": 0},
        )
        session = boto3.Session(
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            region_name=self.env["AWS_DEFAULT_REGION"],
        )
        return session.client(service, endpoint_url=url, config=kwargs.pop("config", config), **kwargs)

    def stop(self, sig: int = signal.SIGTERM) -> None:
        """End the server as its user would and wait for it."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        self.process.wait(timeout=30)


def start_local_sagemaker(data_dir: Path, *options: str) -> LocalSageMaker:
    """Start a server over `data_dir` on free ports; raises with its log when it does not get ready."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "serve.log"
    command = [sys.executable, "-m", "local_sagemaker", "serve", "--data-dir", str(data_dir), "--port", "0", *options]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "AIRFLOW"))}
    with log.open("a") as stderr:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    timer = threading.Timer(READY_SECONDS, process.kill)
    timer.start()
    env: dict[str, str] = {}
    assert process.stdout is not None
    for line in process.stdout:
        match = re.fullmatch(r"export (\w+)=(.*)", line.strip())
        if match:
            env[match[1]] = match[2].strip("'\"")
        if "AWS_ENDPOINT_URL_S3" in env and "AWS_EC2_METADATA_DISABLED" in env:
            break
    timer.cancel()
    if "AWS_ENDPOINT_URL_S3" not in env:
        process.kill()
        raise RuntimeError(f"local_sagemaker did not get ready:\n{log.read_text()[-4000:]}")
    return LocalSageMaker(process, env, data_dir)


@pytest.fixture(scope="session")
def local_sagemaker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    server = start_local_sagemaker(tmp_path_factory.mktemp("local-sagemaker"))
    try:
        yield server
    finally:
        server.stop()
