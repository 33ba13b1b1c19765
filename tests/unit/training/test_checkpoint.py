"""Checkpoints: the newest whole one wins, another training's is refused, a full disk leaves the last one."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import signal
from pathlib import Path

import pytest
import torch

from training import checkpoint
from training.errors import CheckpointError, TrainingError
from training.exits import REASON_CHARACTERS

MINE = {"learning_rate": "0.1", "train data": "abc"}


def state(steps: int, size: int = 10) -> dict[str, object]:
    return {"fingerprint": MINE, "steps": steps, "weights": torch.full((size,), float(steps))}


def load(folder: Path, warnings: list[str] | None = None) -> object:
    found = checkpoint.load(folder, MINE, (warnings if warnings is not None else []).append)
    return found and found["steps"]


def test_newest_wins_and_older_ones_go(tmp_path: Path) -> None:
    for steps in (9, 10, 100):
        checkpoint.save(tmp_path, steps, state(steps))
    assert load(tmp_path) == 100
    assert len(list(tmp_path.iterdir())) == checkpoint.KEPT


def test_nothing_there(tmp_path: Path) -> None:
    assert load(tmp_path / "never") is None


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_damaged_ones_are_passed_over_with_a_warning(tmp_path: Path, damage: str) -> None:
    checkpoint.save(tmp_path, 1, state(1))
    path = checkpoint.save(tmp_path, 2, state(2))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"cut": bytes(content[:-1]), "bit": bytes(content), "empty": b""}[damage])
    warnings: list[str] = []
    assert load(tmp_path, warnings) == 1
    assert len(warnings) == 1
    assert str(path) in warnings[0]


def test_damaged_ones_of_later_steps_do_not_crowd_out_new_ones(tmp_path: Path) -> None:
    """Both that were kept came back cut off: the training starts anew and must keep what it saves."""
    for steps in (100, 110):
        path = checkpoint.save(tmp_path, steps, state(steps))
        path.write_bytes(path.read_bytes()[:-1])
    assert load(tmp_path) is None
    for steps in (10, 20):
        assert checkpoint.save(tmp_path, steps, state(steps)).exists()
        assert load(tmp_path) == steps
    assert len(list(tmp_path.iterdir())) == checkpoint.KEPT


def test_parts_and_strangers_are_ignored(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, state(1))
    (tmp_path / f".{path.name.replace('0001', '0002')}.part").write_bytes(b"half")
    (tmp_path / "checkpoint-last.pt").write_bytes(b"?")
    assert load(tmp_path) == 1


def test_another_training_is_refused_by_what_differs(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, state(1))
    with pytest.raises(CheckpointError, match="train data was abc, is xyz"):
        checkpoint.load(tmp_path, {**MINE, "train data": "xyz"}, print)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_version_before_is_refused_by_name(version: int, tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, state(1))
    content = {**torch.load(path, weights_only=True), "format": version}
    if version == 1:
        del content["format"]  # it wrote none
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.unlink()
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:16]
    (tmp_path / f"checkpoint-0000000001-{digest}.pt").write_bytes(buffer.getvalue())
    with pytest.raises(
        CheckpointError, match=rf"written by another version of this program \(format {version}, expected 4\)"
    ):
        load(tmp_path)


def test_a_long_list_of_columns_leaves_room_for_what_to_do(tmp_path: Path) -> None:
    columns = json.dumps([f"column {number}" for number in range(500)])
    checkpoint.save(tmp_path, 1, {**state(1), "fingerprint": {**MINE, "full_field_list": columns}})
    with pytest.raises(CheckpointError, match=r"full_field_list was .*Use another checkpoint path") as caught:
        checkpoint.load(tmp_path, MINE, print)
    assert len(str(caught.value)) < REASON_CHARACTERS


def test_a_write_that_fails_leaves_the_last_good_one(tmp_path: Path) -> None:
    """The limit on file sizes stands in for a full disk: a real OSError in the middle of the write."""
    checkpoint.save(tmp_path, 1, state(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(TrainingError, match=r"cannot write .*checkpoint-0000000002"):
            checkpoint.save(tmp_path, 2, state(2, size=100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert load(tmp_path) == 1
    assert len(list(tmp_path.iterdir())) == 1
