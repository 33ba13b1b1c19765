"""Whether a folder's disk has room, and the words that say it has none."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

RESERVE_BYTES = 256 * 2**20
"""Below this much free space no job starts, running ones are ended, and the server's log says so."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


def shortage(folder: Path, needed: int) -> str | None:
    """Name the folder and what its disk has left when that is less than `needed` bytes; None when there is room."""
    free = shutil.disk_usage(folder).free
    if free >= needed:
        return None
    return f"the disk of {folder} has only {free // 2**20} MB left"


def is_full(error: OSError) -> bool:
    """Whether a disk or a quota refused a write."""
    return error.errno in _FULL
