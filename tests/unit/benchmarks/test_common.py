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
sys.path[:0] = ["benchmarks"]
import project_environment, common
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


@pytest.mark.parametrize("benchmark", sorted(path.parent.name for path in (ROOT / "benchmarks").glob("*/run")))
def test_it_runs_in_the_projects_python_whatever_python_starts_it(benchmark: str) -> None:
    """A Python without any package: what is installed is found in .venv alone."""
    system = Path(sys.base_prefix) / "bin" / "python3"
    command = [str(system), "-I", str(ROOT / "benchmarks" / benchmark / "run"), "--help"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout


def test_without_an_environment_it_says_how_to_make_one(tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "project_environment.py").write_text((ROOT / "benchmarks" / "project_environment.py").read_text())
    command = [sys.executable, str(folder / "project_environment.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"run {tmp_path / 'bin' / 'setup'}" in done.stderr
