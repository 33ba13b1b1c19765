"""What all benchmarks share."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
BENCHMARK = """
import pathlib, subprocess, sys
sys.path[:0] = ["bin", "benchmarks"]
import common
from local_stack.processes import ProcessSet
common.arguments("a benchmark")
sleeping = ["sh", "-c", "sleep 300 & sleep 300"]
with ProcessSet(pathlib.Path("FOLDER")) as processes:
    inside = processes.start("inside", sleeping, env={"PATH": "/usr/bin:/bin"}, cwd=pathlib.Path("/"))
    beside = subprocess.Popen(sleeping)
    print(inside.process.pid, beside.pid, flush=True)
    inside.process.wait()
"""


@pytest.mark.parametrize("signals", [1, 3])
def test_sigterm_ends_a_benchmark_with_all_that_it_started(tmp_path: Path, signals: int) -> None:
    program = BENCHMARK.replace("FOLDER", str(tmp_path))
    benchmark = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert benchmark.stdout is not None
    started = [psutil.Process(int(pid)) for pid in benchmark.stdout.readline().split()]
    assert len(started) == 2
    family = [*started, *(child for process in started for child in process.children(recursive=True))]
    for _ in range(signals):
        benchmark.send_signal(signal.SIGTERM)
    assert benchmark.wait(timeout=60) == 128 + signal.SIGTERM
    assert [process for process in family if process.is_running()] == []
