"""What CI does when a part fails, cannot run, or has no time left; the parts themselves are stood in for."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NOTED = 'echo "$0 $*" >>calls; '


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script, with parts that succeed at once and note that they were called."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_text((ROOT / ".ci" / "run").read_text())
    for name in (
        ".ci/packages",
        "bin/setup",
        "bin/check",
        "bin/test",
        ".ci/torch",
        "tests/compose/run",
        ".venv/bin/python",
    ):
        stand_in(tmp_path, name, "true")
    return tmp_path


def stand_in(checkout: Path, name: str, does: str) -> None:
    file = checkout / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/bash\n{NOTED}{does}\n")
    file.chmod(0o755)


def run(checkout: Path) -> tuple[int, dict[str, str], list[str]]:
    """Exit status, the table's last column by part, and the calls that were made."""
    environment = {**os.environ, "CI_COMPOSE": "1"}
    command = ["bash", ".ci/run"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    rows = re.findall(r"^(\w+) +\d+ +(?:\d+|-)  (.+)$", done.stdout, re.M)
    calls = (checkout / "calls").read_text().splitlines()
    return done.returncode, dict(rows), [call.removeprefix("./") for call in calls]


def test_every_part_has_a_row_and_the_fast_suite_is_last(checkout: Path) -> None:
    status, rows, calls = run(checkout)
    assert status == 0
    assert list(rows) == ["setup", "style", "compose", "torch", "slow", "fast"]
    assert {result for part, result in rows.items() if part != "fast"} == {"passed"}
    assert calls[-1] == "bin/test "


def test_a_part_without_time_is_left_out_and_fails_the_run(checkout: Path) -> None:
    script = checkout / ".ci" / "run"
    script.write_text(script.read_text().replace("LIMIT=4800", "LIMIT=2500"))
    status, rows, calls = run(checkout)
    assert status == 1
    assert "SKIPPED" in rows["setup"]
    assert rows["slow"] == "passed"
    assert calls[-1] == "bin/test "


@pytest.mark.parametrize(("times", "expected"), [(1, "passed"), (2, "FAILED with 5")])
def test_slow_tests_that_fail_are_tried_once_more_alone(checkout: Path, times: int, expected: str) -> None:
    fails = f'case "$*" in *slow*) [ "$(grep -c -e --slow calls)" -gt {times} ] || exit 5 ;; esac'
    stand_in(checkout, "bin/test", fails)
    status, rows, calls = run(checkout)
    assert rows["slow"] == expected
    assert status == (0 if times == 1 else 1)
    tries = ["bin/test --slow -m slow", "bin/test --slow -m slow --last-failed"]
    assert [call for call in calls if "--slow" in call] == tries


def test_a_machine_that_cannot_run_a_part_fails_nothing(checkout: Path) -> None:
    stand_in(checkout, "tests/compose/run", "exit 77")
    status, rows, calls = run(checkout)
    assert (status, rows["compose"]) == (0, "this machine cannot run it (above)")
    assert calls.count("tests/compose/run ") == 1


def test_a_failing_part_fails_the_run_after_the_fast_suite(checkout: Path) -> None:
    stand_in(checkout, "bin/check", "exit 3")
    status, rows, calls = run(checkout)
    assert (status, rows["style"]) == (1, "FAILED with 3")
    assert calls[-1] == "bin/test "
