"""Checkpoints: written atomically, and verified by their content.

A file is called `checkpoint-<steps>-<sha256>.pt`: the name gives its age and the hash of its content, so a
file that was truncated or damaged on its way to S3 and back is recognised and skipped. Each contains the fingerprint of
its training (hyperparameters, data, number of processes); a checkpoint of another training is refused, and the message
names what differs.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import torch
from torch import Tensor

from training.errors import CheckpointError
from training.files import write_whole
from training.optimizer import OptimizerState

KEPT = 2
FORMAT = 4
"""Of a checkpoint's content; 3 had columns by plain quantiles, 2 the state of torch.optim's AdamW, 1 neither averaged
weights nor an ensemble."""
_NAME = re.compile(r"checkpoint-(\d{10})-([0-9a-f]{16})\.pt")

Fingerprint: TypeAlias = dict[str, str | int]
"""What a checkpoint and the training that resumes from it must have in common, by name."""


class State(TypedDict):
    """A training's state between two steps."""

    fingerprint: Fingerprint
    progress: dict[str, Any]
    """The fields of trainer.Progress."""
    model: dict[str, Tensor]
    averaged: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: OptimizerState


def save(folder: Path, steps: int, state: State) -> Path:
    """Write a checkpoint and remove all but the newest ones; raises TrainingError if it cannot be written.

    A checkpoint with more steps was skipped as damaged: it is removed too, so that it displaces no intact one.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    content = buffer.getbuffer()
    path = folder / f"checkpoint-{steps:010d}-{hashlib.sha256(content).hexdigest()[:16]}.pt"
    write_whole(path, content)
    others = [other for other in _all(folder) if other != path]
    kept = [other for other in others if _steps(other) <= steps][: KEPT - 1]
    for other in others:
        if other not in kept:
            other.unlink(missing_ok=True)
    return path


def load(folder: Path, fingerprint: Fingerprint, warn: Callable[[str], None]) -> State | None:
    """Return the state of the newest intact checkpoint, or None. Raises CheckpointError for one of another training."""
    for path in _all(folder):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest()[:16] != path.stem.rpartition("-")[2]:
            warn(f"checkpoint {path} is damaged or incomplete ({len(content)} bytes); skipping it")
            continue
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        found = saved.pop("format", 1)
        if found != FORMAT:
            made = f"was written by another version of this program (format {found}, expected {FORMAT})"
            raise CheckpointError(f"checkpoint {path} {made}. Use another checkpoint path to start over")
        state: State = saved
        _compare(path, state["fingerprint"], fingerprint)
        return state
    return None


def _compare(path: Path, saved: Fingerprint, wanted: Fingerprint) -> None:
    different = [name for name in {**saved, **wanted} if saved.get(name) != wanted.get(name)]
    if different:
        pairs = [(name, _short(saved.get(name)), _short(wanted.get(name))) for name in different[:5]]
        changes = "; ".join(f"{name} was {before}, is {now}" for name, before, now in pairs)
        raise CheckpointError(
            f"checkpoint {path} belongs to another training: {changes}. Use another checkpoint path to start over"
        )


def _short(value: object) -> str:
    """Shorten a value: a list of columns must leave room in the failure reason for what to do."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _all(folder: Path) -> list[Path]:
    """Return the checkpoints, newest first."""
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=lambda path: (_steps(path), path.stat().st_mtime_ns), reverse=True)


def _steps(path: Path) -> int:
    return int(path.name.split("-")[1])
