"""A pytest plugin: one local SageMaker per test session.

Where the package is installed pytest finds it by itself; elsewhere conftest.py names it:
`pytest_plugins = ["local_sagemaker.testing"]`. It costs a run nothing until a test asks for it. The fixture
`local_sagemaker` is the server, whose `client("sagemaker")` is a boto3 client of it; `local_aws` is the same and lets
every boto3 client, SDK session and child process of the test find it. It needs pytest beside the package's `local`
extra. The ini option `local_sagemaker_options` holds options of `serve`; the environment variable
LOCAL_SAGEMAKER_PYTHON names another interpreter to run the server, for tests in an environment whose pins leave no room
for its packages. The server ends with the session; its folder stays where pytest keeps its temporary folders.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import boto3

_READY_SECONDS = 60
_STOP_SECONDS = 60
LAST_VARIABLE = "AWS_EC2_METADATA_DISABLED"
"""The last one that a server prints: with it, the server is ready."""
_IMPORT_ROOT = Path(__file__).parents[1]


_session_lock = threading.Lock()


@functools.cache
def _session() -> boto3.Session:
    """One session for all clients: it reads a service's model once, where a new session takes 0.5 s for each client."""
    import boto3

    return boto3.Session()


@dataclass
class LocalSageMaker:
    """A running `python -m local_sagemaker serve`."""

    process: subprocess.Popen[str]
    env: dict[str, str]
    """What it printed: the AWS_* variables that make any boto3 program its client."""
    data_dir: Path
    """Its folder; buckets are the folders below `s3`, `serve.log` is its log."""

    @property
    def endpoint_url(self) -> str:
        """Where everything but S3 answers; the page for a browser too."""
        return self.env["AWS_ENDPOINT_URL"]

    def client(self, service: str, **kwargs: object) -> Any:
        """A boto3 client of this server without retries, whatever the surrounding environment says."""
        from botocore.config import Config

        url = self.env["AWS_ENDPOINT_URL_S3"] if service == "s3" else self.endpoint_url
        config = Config(retries={"max_attempts": 0})
        with _session_lock:  # sessions are not thread-safe, the clients that they make are
            return _session().client(
                service,
                endpoint_url=url,
                region_name=self.env["AWS_DEFAULT_REGION"],
                aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
                config=kwargs.pop("config", config),
                **kwargs,
            )

    def stop(self, sig: int = signal.SIGTERM) -> None:
        """End the server as its user would and wait for it; its jobs and its S3 end with it."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        self.process.wait(timeout=_STOP_SECONDS)


def server_python() -> str:
    """Return the interpreter that runs the server: LOCAL_SAGEMAKER_PYTHON, else this one."""
    return os.environ.get("LOCAL_SAGEMAKER_PYTHON") or sys.executable


def start_local_sagemaker(data_dir: Path, *options: str) -> LocalSageMaker:
    """Start a server over `data_dir` on free ports; `options` are those of `serve`.

    The caller calls `stop` on what it gets. RuntimeError with the end of its log when it is not ready within 60 s.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "serve.log"
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [server_python(), "-m", "local_sagemaker", "serve", "--data-dir", str(data_dir), "--port", "0", *options],
            cwd=_IMPORT_ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW"))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    env = printed_environment(process)
    if LAST_VARIABLE not in env:
        process.kill()
        process.wait()
        raise RuntimeError(f"the local SageMaker did not become ready; {log} ends with:\n{log.read_text()[-4000:]}")
    return LocalSageMaker(process, env, data_dir)


def printed_environment(process: subprocess.Popen[str]) -> dict[str, str]:
    """Read what a server prints when it is ready; less than all when it ends before, or is ended after 60 s."""
    timer = threading.Timer(_READY_SECONDS, process.kill)
    timer.start()
    env: dict[str, str] = {}
    for line in process.stdout or ():
        if match := re.fullmatch(r"export (\w+)=(.*)", line.strip()):
            env[match[1]] = match[2].strip("'\"")
        if LAST_VARIABLE in env:
            break
    timer.cancel()
    return env


def pytest_addoption(parser: pytest.Parser) -> None:
    """Give the session's server its options."""
    parser.addini("local_sagemaker_options", "options of `local_sagemaker serve` for the session's server", type="args")


@pytest.fixture(scope="session")
def local_sagemaker(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[LocalSageMaker]:
    """One server for the whole session: tests keep apart by names and buckets of their own."""
    server = start_local_sagemaker(
        tmp_path_factory.mktemp("local-sagemaker"), *pytestconfig.getini("local_sagemaker_options")
    )
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def local_aws(local_sagemaker: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> LocalSageMaker:
    """The session's server, and every boto3 client that the test makes is one of it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in local_sagemaker.env.items():
        monkeypatch.setenv(name, value)
    return local_sagemaker
