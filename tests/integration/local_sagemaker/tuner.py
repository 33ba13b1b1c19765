"""A server whose job Python has `train`, without which no tuning job runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.testing import start_local_sagemaker

from .conftest import Service

TRAIN = f"""#!{sys.executable}
import json, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
with open(os.environ["SAGEMAKER_BASE_DIR"] + "/input/config/hyperparameters.json") as stream:
    given = json.load(stream)
if given["mode"] == "fail":
    sys.exit(1)
if given["mode"] == "wait":
    signal.pause()
if given["mode"] != "silent":
    print("loss=%s" % abs(float(given.get("rate", 0)) - 0.5))
"""
"""In the place of sagemaker-training, which is no part of the project's environment."""


@pytest.fixture(scope="module")
def tuner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server whose job Python has `train`."""
    folder = tmp_path_factory.mktemp("tuning")
    server = start_local_sagemaker(folder / "data", "--job-python", str(job_python(folder)), "--stop-grace", "2")
    yield Service(server)
    server.stop()


def job_python(folder: Path) -> Path:
    python = folder / "job" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    program = python.with_name("train")
    program.write_text(TRAIN)
    program.chmod(0o755)
    return python
