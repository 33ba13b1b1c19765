"""What the scripts in bin/ say when something is not as it should be: one line that says what to do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run_module(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'bin'}:{ROOT / 'plugins'}", "COLUMNS": "300"}
    command = [sys.executable, "-m", f"local_stack.{module}", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)


@pytest.mark.parametrize("partition", ["2013-7-4", "2013-02-30", "yesterday", ""])
def test_demo_refuses_what_is_no_date(partition: str, tmp_path: Path) -> None:
    done = run_module("demo", "--partition", partition, "--home", str(tmp_path / "home"))
    assert done.returncode == 1
    assert (
        done.stderr.strip() == f"demo: partition {partition!r} is not a date; expected YYYY-MM-DD, such as 2013-07-04"
    )
    assert not (tmp_path / "home").exists()


def test_demo_tells_a_date_that_is_too_early_before_it_starts_anything(tmp_path: Path) -> None:
    done = run_module("demo", "--partition", "2013-01-01", "--home", str(tmp_path / "home"))
    assert done.returncode == 1
    assert "the first partition that can be trained is 2013-01-28" in done.stderr
    assert not (tmp_path / "home").exists()


def test_airflow_local_names_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_module("serve", "--port", str(port), "--home", str(tmp_path))
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 cannot be used" in done.stderr
    assert "--port 0 picks a free one" in done.stderr


@pytest.mark.parametrize("option", ["--port", "--sagemaker-port"])
def test_airflow_local_refuses_what_is_no_port(option: str, tmp_path: Path) -> None:
    done = run_module("serve", option, "99999", "--home", str(tmp_path / "home"))
    assert done.returncode == 2
    assert "Usage: bin/airflow-local" in done.stderr
    assert f"Invalid value for '{option}'" in done.stderr
    assert "65535" in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("module", ["serve", "demo"])
def test_a_home_that_is_no_folder_is_refused_in_one_line(module: str, tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.write_text("")
    done = run_module(module, "--home", str(home), *(["--port", "0"] if module == "serve" else []))
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        f"the folder {home} cannot be used (File exists): choose another with --home DIR"
    )


def test_a_second_stack_on_the_same_home_is_refused(tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / "stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        done = run_module("serve", "--port", "0", "--home", str(tmp_path))
    assert done.returncode == 1
    assert "a stack already runs on" in done.stderr
    assert "process 4711" in done.stderr
    assert "--home DIR" in done.stderr


def setup_with(tmp_path: Path, path: str, **env: str) -> subprocess.CompletedProcess[str]:
    """bin/setup in a folder of its own, with only `path` to find programs in."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "setup").write_bytes((ROOT / "bin" / "setup").read_bytes())
    for requirements in ("requirements.txt", "requirements-py312.txt"):
        (tmp_path / requirements).write_text("torch==0.0.no-such-version\n")
    command = ["/bin/bash", str(tmp_path / "bin" / "setup")]
    return subprocess.run(
        command, env={"PATH": path, **env}, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path
    )


def fake_program(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/bash\n{body}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("named", "found"),
    [({}, "python3 is 3.9"), ({"PYTHON": "/nonexistent/python"}, "/nonexistent/python is not executable")],
)
def test_setup_names_the_python_it_needs(tmp_path: Path, named: dict[str, str], found: str) -> None:
    programs = tmp_path / "programs"
    fake_program(programs, "python3", "echo 3.9")
    for needed in ("dirname", "cat", "df", "awk"):
        (programs / needed).symlink_to(shutil.which(needed) or "/bin/false")
    done = setup_with(tmp_path, str(programs), **named)
    assert done.returncode == 1
    assert f"setup: Python 3.11, 3.12 or 3.13 was not found ({found})" in done.stderr
    assert "PYTHON=" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_setup_names_a_full_disk(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    fake_program(programs, "df", "echo header; echo '/dev/x 1000 900 100 90% /'")
    done = setup_with(tmp_path, f"{programs}:/usr/bin:/bin", PYTHON=sys.executable)
    assert done.returncode == 1
    assert "100 MB are free" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_setup_says_what_a_failed_install_needs_and_goes_on_later(tmp_path: Path) -> None:
    done = setup_with(tmp_path, "/usr/bin:/bin", PYTHON=sys.executable, PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert "pip could not install requirements" in done.stderr
    assert not (tmp_path / ".venv" / ".requirements").exists()
