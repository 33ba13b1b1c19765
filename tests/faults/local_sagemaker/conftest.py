"""Servers that may be killed, and that can be told to kill themselves after a certain commit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_sagemaker.testing import LAST_VARIABLE, LocalSageMaker, printed_environment

ROOT = Path(__file__).resolve().parents[3]
CRASHING = Path(__file__).with_name("crashing_server.py")


class Server(LocalSageMaker):
    """One `serve` process over a folder; `crash_at` makes it kill itself after that many commits."""

    def __init__(self, data_dir: Path, crash_at: int | None = None, *options: str) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        program = ["-m", "local_sagemaker"] if crash_at is None else [str(CRASHING), str(crash_at)]
        arguments = ["serve", "--data-dir", str(data_dir), "--port", "0", "--stop-grace", "2", *options]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        with (data_dir / "serve.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, *program, *arguments],
                cwd=ROOT, env=environment | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=log, text=True,
            )  # fmt: skip
        super().__init__(process, printed_environment(process), data_dir)

    @property
    def is_ready(self) -> bool:
        return LAST_VARIABLE in self.env

    def log(self) -> str:
        return (self.data_dir / "serve.log").read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(data_dir: Path | None = None, crash_at: int | None = None, *options: str) -> Server:
        servers.append(Server(data_dir or tmp_path / "data", crash_at, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def processes_of(data_dir: Path) -> list[int]:
    """Every process that knows the folder: in its command line or in its environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if str(data_dir).encode() in text and state != "Z":
            found.append(int(entry.name))
    return found
