"""Killed at any moment, alone or in pairs: the resumed training ends with the same weights."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from .table import Job, wait_until

EVERY_STEP = 1e-9  # minutes between checkpoints
STEPS = 40  # of an epoch: 2030 rows in batches of 50


def steps_saved(job: Job) -> int:
    """Steps that the newest checkpoint stands for; 0 without one."""
    return max((int(path.name.split("-")[1]) for path in job.checkpoints.glob("checkpoint-*.pt")), default=0)


def assert_same_weights(job: Job, other: Job) -> None:
    assert job.weights.keys() == other.weights.keys()
    assert all(torch.equal(job.weights[name], weight) for name, weight in other.weights.items())


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_killed_mid_epoch_it_ends_with_the_same_weights(job: Job, finished: Job, sig: signal.Signals) -> None:
    process = job.start(checkpoint_minutes=EVERY_STEP)
    wait_until(lambda: steps_saved(job) > STEPS + 3, process)
    process.send_signal(sig)
    log, _ = process.communicate()
    assert not (job.model / "model.pt").exists()
    if sig == signal.SIGTERM:
        assert process.returncode == 143
        assert "Interrupted: SIGTERM after step" in log
    resumed = job.run()
    assert "Resumed after epoch" in resumed
    assert "Epoch 1/3" not in resumed
    assert_same_weights(job, finished)
    metrics = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in job.report["history"]]
    assert metrics == [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in finished.report["history"]]


def test_two_processes_stop_together_and_resume(job: Job, tmp_path: Path) -> None:
    undisturbed = Job(tmp_path / "undisturbed", job.code, job.channels)
    undisturbed.run(2)
    process = job.start(2, checkpoint_minutes=EVERY_STEP)
    wait_until(lambda: steps_saved(job) > STEPS + 3, process)
    process.send_signal(signal.SIGTERM)
    log, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "saved" in log
    job.run(2)
    assert_same_weights(job, undisturbed)


def test_damaged_checkpoint_is_passed_over(job: Job, finished: Job) -> None:
    job.run(epochs=3)
    for file in sorted(job.checkpoints.iterdir())[-1:]:
        file.write_bytes(file.read_bytes()[:-1000])
    log = job.run()
    assert "is damaged or not whole" in log
    assert "Resumed after epoch 2, step 0" in log
    assert_same_weights(job, finished)


def test_another_trainings_checkpoint_is_refused_by_name(finished: Job, tmp_path: Path) -> None:
    job = Job(tmp_path / "other", finished.code, finished.channels)
    job.checkpoints.parent.mkdir()
    job.checkpoints.symlink_to(finished.checkpoints)
    before = sorted(finished.checkpoints.iterdir())
    log = job.run(status=1, learning_rate=0.01)
    assert "belongs to another training: learning_rate was 0.005, is 0.01" in log
    assert "learning_rate was 0.005" in job.failure.read_text()
    assert sorted(finished.checkpoints.iterdir()) == before
