"""Atomic writes: a file is complete or absent, whatever happens while it is written."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from training.errors import TrainingError


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file atomically and sync it to disk. Raises TrainingError if that fails; an older file then stays."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        _sync(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise TrainingError(f"cannot write {path} ({len(content) / 1e6:.2f} MB): {reason}") from None


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
