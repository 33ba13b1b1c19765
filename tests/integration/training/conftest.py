"""A small table, and train.py run on it as the container does: from a folder called "code", in a process of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.training_jobs import Job, write_channels

TRAINING = Path(__file__).resolve().parents[3] / "training"


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the container gets: the content of training/ under another name."""
    folder = tmp_path_factory.mktemp("shipped") / "code"
    shutil.copytree(TRAINING, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders train, val and test with one parquet file each."""
    folder = tmp_path_factory.mktemp("channels")
    write_channels(folder)
    return folder


@pytest.fixture
def job(tmp_path: Path, shipped: Path, channels: Path) -> Job:
    """One training job's folders; several in a test: `Job(tmp_path / "b", shipped, channels)`."""
    return Job(tmp_path / "job", shipped, channels)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, shipped: Path, channels: Path) -> Job:
    """A job that has trained without disturbance; tests only read it."""
    job = Job(tmp_path_factory.mktemp("finished"), shipped, channels)
    job.run()
    return job
