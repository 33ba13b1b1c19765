"""The program as a child process: results, the two kinds of failure, and that it never outlives its parent."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from preprocessing import child, raw
from preprocessing.errors import ChecksError, PreprocessingError
from preprocessing.flights.dates import HISTORY_DAYS
from preprocessing.window import Window
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
LOG = logging.getLogger("test")


def arguments(raw: Path, output: Path, window: Window) -> list[str]:
    options = ["--raw", str(raw), "--output", str(output), "--days", "36", "--val-days", "5", "--test-days", "4"]
    return ["local", "--partition", str(window.partition), *options]


def test_the_result_comes_back(raw_folder: Path, tmp_path: Path, window: Window) -> None:
    result = child.run(arguments(raw_folder, tmp_path / "out", window), env=os.environ, log=LOG)
    assert result["partition"] == str(window.partition)
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_unusable_data_come_back_as_their_one_line(tmp_path: Path, window: Window) -> None:
    with pytest.raises(PreprocessingError, match=r"^partition 2021-03-11: flights: no raw data for"):
        child.run(arguments(tmp_path, tmp_path / "out", window), env=os.environ, log=LOG)


def test_failing_data_checks_come_back_with_every_finding(raw_folder: Path, tmp_path: Path, window: Window) -> None:
    for file in (raw_folder / raw.raw_key("flights", day) for day in window.dates(HISTORY_DAYS)):
        pl.read_parquet(file).with_columns(distance=pl.lit(-1)).write_parquet(file)
    with pytest.raises(ChecksError, match=r"^partition 2021-03-11: \d+ data checks failed: .*distance") as caught:
        child.run(arguments(raw_folder, tmp_path / "out", window), env=os.environ, log=LOG)
    assert [f for f in caught.value.checks if f["where"] == "train.distance" and not f["ok"]]
    assert not (tmp_path / "out").exists()


def test_any_other_end_is_a_fault_that_shows_its_last_line(
    tmp_path: Path, window: Window, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "file").touch()
    with pytest.raises(child.ChildError, match=r"ended with status 2: .*error: the following arguments are required"):
        child.run(["local"], env=os.environ, log=LOG)
    assert any("usage:" in line for line in caplog.messages)


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    waiting = (
        "import os, sys, time; from preprocessing import child; child.die_with_parent(); "
        "open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(300)"
    )
    starting = (
        "import os, subprocess, sys, time; env = {**os.environ, 'PREPROCESSING_PARENT': str(os.getpid())}; "
        f"subprocess.Popen([sys.executable, '-c', {waiting!r}, sys.argv[1]], env=env); time.sleep(300)"
    )
    file = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", starting, str(file)], cwd=ROOT)
    wait_until(lambda: file.exists() and file.read_text(), "the program")
    pid = int(file.read_text())
    parent.kill()
    parent.wait()
    wait_until(lambda: not _alive(pid), "the program's end")


def _alive(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody has collected yet has ended."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
