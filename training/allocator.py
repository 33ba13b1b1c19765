"""How the C library treats freed memory: it is kept for the next step.

Every training step takes and frees the same buffers of megabytes. By default, glibc returns such buffers to the system,
which then zeroes each page again when the next step touches it: about a sixth of a step's processor time.
"""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # the parameters' numbers in glibc's malloc.h
MOST_KEPT = 128 * 2**20  # bytes, more than the buffers of a step at the defaults
LARGEST_KEPT = 32 * 2**20  # of one buffer: glibc's limit; larger ones are returned at once, such as a pool of rows


def keep_freed_memory() -> None:
    """Keep up to 128 MiB of freed memory in the process, unless MALLOC_... variables say what to keep.

    Has no effect where the C library is not glibc.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, MOST_KEPT)
        mallopt(MMAP_THRESHOLD, LARGEST_KEPT)
