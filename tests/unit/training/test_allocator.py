"""Freed memory stays in the process, so that the next step need not have it zeroed again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from training.allocator import keep_freed_memory
keep_freed_memory()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        buffers = [bytearray(2**24) for _ in range(6)]
        for buffer in buffers:
            buffer[::4096] = bytes(4096)
        del buffer, buffers
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 10 * 6 * 2**24 // 4096


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
@pytest.mark.parametrize(
    ("variables", "zeroed"),
    [({}, False), ({"MALLOC_TRIM_THRESHOLD_": "131072"}, True)],
    ids=["kept", "a variable of the user's decides"],
)
def test_freed_memory_is_kept(variables: dict[str, str], zeroed: bool) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")} | variables
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    assert (int(done.stdout) > PAGES / 2) is zeroed
