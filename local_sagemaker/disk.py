"""Checks free disk space."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

RESERVE_BYTES = 256 * 2**20
"""Below this much free space, no job starts, running jobs are ended, and the server logs a warning."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


def shortage(folder: Path, needed: int) -> str | None:
    """A message with the folder and its free space if that is less than `needed` bytes; None otherwise."""
    free = shutil.disk_usage(folder).free
    if free >= needed:
        return None
    return f"the disk of {folder} has only {free // 2**20} MB left"


def is_full(error: OSError) -> bool:
    """Whether a write failed because of a full disk or quota."""
    return error.errno in _FULL
