"""Killed at any moment, alone or in pairs: the resumed training ends with the same weights."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.training_jobs import DEADLINE, Job, sizes, wait_until, write_channels

EVERY_STEP = 1e-9  # minutes between checkpoints
STEPS = 41  # of an epoch: 2030 rows in batches of 50 at most


def steps_saved(job: Job) -> int:
    """Steps that the newest checkpoint stands for; 0 without one."""
    return max((int(path.name.split("-")[1]) for path in job.checkpoints.glob("checkpoint-*.pt")), default=0)


def interrupt(job: Job, sig: signal.Signals, steps: int, processes: int = 1) -> tuple[str, int]:
    """Start, wait for a checkpoint of more than so many steps, send the signal; return log and exit status."""
    process = job.start(processes, checkpoint_minutes=EVERY_STEP)
    wait_until(lambda: steps_saved(job) > steps, process)
    process.send_signal(sig)
    log, _ = process.communicate(timeout=DEADLINE)
    return log, process.returncode


def without_seconds(job: Job) -> list[dict[str, Any]]:
    return [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in job.report["history"]]


def assert_same_weights(job: Job, other: Job) -> None:
    assert job.weights.keys() == other.weights.keys()
    assert all(torch.equal(job.weights[name], weight) for name, weight in other.weights.items())


def test_killed_twice_mid_epoch_it_ends_with_the_same_weights(job: Job, finished: Job) -> None:
    """SIGTERM in the second epoch, SIGKILL in the third; averaged weights and members of the ensemble included."""
    log, status = interrupt(job, signal.SIGTERM, STEPS + 3)
    assert status == 143
    assert "Interrupted: SIGTERM after step" in log
    log, status = interrupt(job, signal.SIGKILL, 2 * STEPS + 3)
    assert status == -signal.SIGKILL
    assert "Resumed after epoch 1, step" in log
    assert not (job.model / "model.pt").exists()
    resumed = job.run()
    assert "Resumed after epoch 2, step" in resumed
    assert "Epoch 2/3" not in resumed
    assert_same_weights(job, finished)
    assert without_seconds(job) == without_seconds(finished)


@pytest.mark.slow
def test_a_training_of_several_classes_resumes_bit_by_bit(tmp_path: Path, shipped: Path) -> None:
    write_channels(tmp_path / "channels", 500, 200, 200, label=sizes)
    jobs = [Job(tmp_path / name, shipped, tmp_path / "channels") for name in ("disturbed", "undisturbed")]
    log, status = interrupt(jobs[0], signal.SIGKILL, 13)
    assert status == -signal.SIGKILL, log
    for job in jobs:
        job.run()
    assert_same_weights(*jobs)
    assert without_seconds(jobs[0]) == without_seconds(jobs[1])
    assert jobs[0].report["data"]["label"]["classes"] == ["large", "medium", "small"]


@pytest.mark.soak  # three trainings of two processes each
def test_two_processes_stop_together_and_resume(job: Job, tmp_path: Path) -> None:
    undisturbed = Job(tmp_path / "undisturbed", job.code, job.channels)
    undisturbed.run(2)
    log, status = interrupt(job, signal.SIGTERM, STEPS + 3, processes=2)
    assert status != 0
    assert "saved" in log
    job.run(2)
    assert_same_weights(job, undisturbed)


def test_damaged_checkpoint_is_passed_over(job: Job, finished: Job) -> None:
    shutil.copytree(finished.checkpoints, job.checkpoints)
    for file in sorted(job.checkpoints.iterdir())[-1:]:
        file.write_bytes(file.read_bytes()[:-1000])
    log = job.run()
    assert "is damaged or incomplete" in log
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


MOMENTS = ["Rows: ", "Epoch 1/3", "Validation Loss", "Stopped after", "Test: ", "Kept epoch 3: Validation AUC ROC"]
"""Beginnings of lines; after the last one the importance is measured and the curves are drawn."""


@pytest.mark.soak  # two trainings each
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", MOMENTS)
def test_whenever_it_is_ended_the_next_one_ends_with_the_same_weights(
    moment: str, sig: signal.Signals, job: Job, finished: Job
) -> None:
    process = job.start()
    assert process.stdout
    for line in process.stdout:
        if line.startswith(moment):
            process.send_signal(sig)
            break
    log, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode in (0, 143, -signal.SIGKILL), log
    if process.returncode == 0:  # all that matters had been written
        assert_same_weights(job, finished)
        assert job.report["best_epoch"] == finished.report["best_epoch"]
    job.run()
    assert_same_weights(job, finished)
    assert without_seconds(job) == without_seconds(finished)
    assert {entry["feature"] for entry in job.report["importance"]} == {"größe", "age", "noise", "city", "code"}
