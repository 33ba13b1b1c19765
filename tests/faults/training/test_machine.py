"""The machine lets the program down: one line that says so, an exit status, and the last good checkpoint intact."""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from tests.support.training_jobs import Job, write_channels
from training import checkpoint

CODE = Path(__file__).resolve().parents[3] / "training"
MEMORY = 8 << 30  # bytes of address space: enough for the libraries, not for the network that is asked for


@pytest.fixture
def job(tmp_path: Path) -> Job:
    write_channels(tmp_path / "channels", 400, 200, 200)
    return Job(tmp_path / "job", CODE, tmp_path / "channels")


def mounts() -> bool:
    command = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


needs_mounts = pytest.mark.skipif(not mounts(), reason="a small disk needs a namespace in which tmpfs can be mounted")


def train_on_small_disk(job: Job, folder: Path, size: str, kept: Path) -> str:
    """Train, which must fail, with a file system of its own below `folder`; what is on it is copied out to `kept`."""
    folder.mkdir(parents=True)
    script = 'mount -t tmpfs -o size="$1" none "$2" && "$4" train.py; status=$?; cp -a "$2" "$3"; exit $status'
    done = subprocess.run(
        [
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            size,
            str(folder),
            str(kept),
            sys.executable,
        ],
        cwd=CODE,
        env=job.env(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"Error: {job.failure.read_text()}" in done.stdout.splitlines()
    assert "Traceback" not in done.stderr
    return job.failure.read_text()


@needs_mounts
def test_a_disk_that_fills_up_keeps_the_last_good_checkpoint(job: Job) -> None:
    """A real file system with room for one checkpoint and a half: a checkpoint of this network has 50 kB."""
    failure = train_on_small_disk(job, job.checkpoints, "76k", job.folder / "kept")
    assert failure.startswith(f"cannot write {job.checkpoints}/checkpoint-")
    assert failure.endswith("the disk is full")
    (left,) = (job.folder / "kept").iterdir()  # one whole checkpoint, and no part of another
    assert hashlib.sha256(left.read_bytes()).hexdigest()[:16] == left.stem.rpartition("-")[2]
    assert torch.load(left, weights_only=True)["progress"]["epoch"] == 1


@needs_mounts
def test_a_disk_without_room_for_the_model_leaves_the_finished_training(job: Job) -> None:
    failure = train_on_small_disk(job, job.model, "4k", job.folder / "kept")
    assert failure.startswith(f"cannot write {job.model / 'model.pt'}")
    assert failure.endswith("the disk is full")
    assert not (job.folder / "kept" / "model.pt").exists()
    assert "Epoch" not in job.run()  # nothing is trained again
    assert job.weights


def test_out_of_memory_is_said_in_one_line(job: Job) -> None:
    checkpoint.save(job.checkpoints, 1, {"fingerprint": {}})
    before = {path.name: path.read_bytes() for path in job.checkpoints.iterdir()}
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=CODE,
        env=job.env(hidden_size=60_000),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert job.failure.read_text().startswith("out of memory: lower batch_size, hidden_size or memory_fraction")
    assert {path.name: path.read_bytes() for path in job.checkpoints.iterdir()} == before


def test_fewer_rows_than_processes(job: Job) -> None:
    file = job.channels / "train" / "train.parquet"
    pq.write_table(pq.read_table(file).slice(0, 1), file)
    job.run(2, status=1, batch_size=1)
    assert job.failure.read_text() == "channel train: 1 rows are fewer than the 2 processes"
