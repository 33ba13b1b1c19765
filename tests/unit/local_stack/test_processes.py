"""No process outlives its set: not the child, not what it started, not when the parent is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from local_stack.errors import StackError
from local_stack.processes import ProcessSet

from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
# a child that starts a grandchild in a session of its own and ignores SIGTERM, as Airflow's workers may
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def wait_for_pid(log: Path) -> int:
    return int(wait_until(lambda: log.exists() and log.read_text().split(), "the process", 20)[0])


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_stop_ends_descendants_that_ignore_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_stack.processes.TERMINATE_SECONDS", 0.5)
    with ProcessSet(tmp_path) as processes:
        child = processes.start("stubborn", [sys.executable, "-c", STUBBORN], env=os.environ, cwd=tmp_path)
        grandchild = wait_for_pid(child.log)
        assert not gone(grandchild)
    assert gone(child.process.pid)
    assert gone(grandchild)


def test_an_ended_process_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    with ProcessSet(tmp_path) as processes:
        child = processes.start(
            "short", [sys.executable, "-c", "print('no money'); exit(3)"], env=os.environ, cwd=tmp_path
        )
        child.process.wait()
        with pytest.raises(StackError, match=r"short ended with exit code 3(?s:.*)no money"):
            processes.check()


def test_children_die_with_a_killed_parent(tmp_path: Path) -> None:
    program = f"""
import os, sys, time
from pathlib import Path
from local_stack.processes import ProcessSet

from tests.support.waiting import wait_until
with ProcessSet(Path({str(tmp_path)!r})) as processes:
    sleep = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    processes.start("sleeper", [sys.executable, "-c", sleep], env=os.environ, cwd=Path("/"))
    time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT / "bin")})
    child = wait_for_pid(tmp_path / "sleeper.log")
    parent.kill()
    parent.wait()
    wait_until(lambda: gone(child), "the end of the killed parent's child", 20)
