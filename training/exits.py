"""How the program ends early: on SIGTERM, or with an error that is reported in one line."""

from __future__ import annotations

import errno
import signal
import traceback
from pathlib import Path
from types import FrameType

import torch

from training.errors import Interrupted, TrainingError

FAILED = 1
INTERRUPTED = 143  # what a shell reports for a process that SIGTERM ended
REASON_CHARACTERS = 1024  # of the failure file that SageMaker shows


class Sigterm:
    """Listens for SIGTERM: a spot interruption, or somebody stopped the job.

    Before training there is nothing to save, and the signal raises Interrupted at once. The training loop sets `held`
    and looks at `seen` between its steps.
    """

    def __init__(self) -> None:
        self.seen = False
        self.held = False
        signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        if not self.held:
            raise Interrupted("SIGTERM before the first step; there is nothing to save")

    def ignore(self) -> None:
        """Stop listening: everything is written, and Python would end with the signal's status while it shuts down."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def fail(path: Path, error: Exception) -> int:
    """Log an error as one line and write it to the failure file; the first process that fails keeps it."""
    line = explain(error)
    if not isinstance(error, TrainingError):
        traceback.print_exception(error)
    log(f"Error: {line}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(line[:REASON_CHARACTERS])
    except OSError as problem:
        if not isinstance(problem, FileExistsError):
            log(f"Warning: the reason could not be written to {path}: {problem.strerror}")
    return FAILED


def explain(error: Exception) -> str:
    """Describe an error in one line, with what to do about it."""
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, TrainingError):
        return said
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in said:
        return f"out of memory: lower batch_size, hidden_size or memory_fraction ({said})"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full: {said}"
    return f"{type(error).__name__}: {said}"


def log(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)
