"""A pytest plugin that runs one local SageMaker per test session.

pytest finds it if the package is installed; otherwise, add `pytest_plugins = ["local_sagemaker.testing"]` to
conftest.py. The server starts when the first test requests a fixture. The fixture `local_sagemaker` is the server, and
its method `client("sagemaker")` returns a boto3 client. `local_aws` is the same server, and in addition every boto3
client, SDK session and child process of the test uses it. The plugin needs pytest and the package's `local` extra. The
ini option `local_sagemaker_options` contains options of `serve`. The environment variable LOCAL_SAGEMAKER_PYTHON sets
another interpreter for the server, for test environments whose pins conflict with its dependencies. The server stops at
the end of the session; its folder is kept with pytest's temporary folders.
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
"""The last variable that a server prints when it is ready."""
_IMPORT_ROOT = Path(__file__).parents[1]


_session_lock = threading.Lock()


@functools.cache
def _session() -> boto3.Session:
    """One session for all clients: it loads each service's model once, which takes 0.5 s."""
    import boto3

    return boto3.Session()


@dataclass
class LocalSageMaker:
    """A running `python -m local_sagemaker serve`."""

    process: subprocess.Popen[str]
    env: dict[str, str]
    """The AWS_* variables that make any boto3 program a client of this server."""
    data_dir: Path
    """The server's data folder: buckets are folders in `s3`, and `serve.log` is the log."""

    @property
    def endpoint_url(self) -> str:
        """The URL of all services except S3, and of the web UI."""
        return self.env["AWS_ENDPOINT_URL"]

    def client(self, service: str, **kwargs: object) -> Any:
        """A boto3 client of this server, without retries and independent of the environment."""
        from botocore.config import Config

        url = self.env["AWS_ENDPOINT_URL_S3"] if service == "s3" else self.endpoint_url
        config = Config(retries={"max_attempts": 0})
        with _session_lock:  # sessions are not thread-safe, but their clients are
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
        """Stop the server and wait for it; its jobs and its S3 stop with it."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        self.process.wait(timeout=_STOP_SECONDS)


def server_python() -> str:
    """Return the interpreter that runs the server: LOCAL_SAGEMAKER_PYTHON, else this one."""
    return os.environ.get("LOCAL_SAGEMAKER_PYTHON") or sys.executable


def start_local_sagemaker(data_dir: Path, *options: str) -> LocalSageMaker:
    """Start a server over `data_dir` on free ports; `options` are those of `serve`.

    The caller calls `stop` on what it gets. RuntimeError with the end of its log if it is not ready within 60 s.
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
    """The variables that a server prints when it is ready; incomplete if it ends before, or is killed after 60 s."""
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
    """Declare the option for the server's options."""
    parser.addini("local_sagemaker_options", "options of `local_sagemaker serve` for the session's server", type="args")


@pytest.fixture(scope="session")
def local_sagemaker(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[LocalSageMaker]:
    """The session's server. Tests share it, so each should use its own names and buckets."""
    server = start_local_sagemaker(
        tmp_path_factory.mktemp("local-sagemaker"), *pytestconfig.getini("local_sagemaker_options")
    )
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def local_aws(local_sagemaker: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> LocalSageMaker:
    """The session's server; all boto3 clients that the test creates use it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in local_sagemaker.env.items():
        monkeypatch.setenv(name, value)
    return local_sagemaker
