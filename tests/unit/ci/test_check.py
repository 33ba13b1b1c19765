"""`bin/check`: the same before a commit, in `bin/test` and in CI; and what it refuses. Its tools are stood in for."""

from __future__ import annotations

import re
import subprocess
import warnings
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ("mypy", "ruff", "lint-imports", "codespell")
KEY = "-----BEGIN {}PRIVATE KEY-----"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script, with tools that succeed."""
    for name in ("bin", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bin" / "check").write_text((ROOT / "bin" / "check").read_text())
    for name in TOOLS:
        stand_in(tmp_path, name, "true")
    return tmp_path


def stand_in(checkout: Path, name: str, does: str) -> None:
    file = checkout / ".venv" / "bin" / name
    file.write_text(f"#!/bin/sh\n{does}\n")
    file.chmod(0o755)


def check(checkout: Path) -> tuple[int, str]:
    done = subprocess.run(["bash", "bin/check"], cwd=checkout, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_a_commit_checks_what_bin_test_checks() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [hook["entry"] for hook in hooks] == ["bin/check"]
    assert (hooks[0]["always_run"], hooks[0]["pass_filenames"]) == (True, False)
    for caller in ("bin/test", ".ci/run"):
        text = (ROOT / caller).read_text()
        assert re.search(r"^\s*[^#\n]*\bbin/check\b", text, re.MULTILINE), caller
        assert not re.search(rf"^\s*[^#\n]*\b({'|'.join(TOOLS)}) ", text, re.MULTILINE), (
            "bin/check alone names the tools"
        )


def test_a_sound_checkout_passes(checkout: Path) -> None:
    assert check(checkout) == (0, "")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_fails_fails_the_check_with_its_output(checkout: Path, tool: str) -> None:
    stand_in(checkout, tool, "echo what is wrong; exit 1")
    status, said = check(checkout)
    assert status == 1
    assert "what is wrong" in said


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH "])
def test_a_private_key_fails_the_check(checkout: Path, kind: str) -> None:
    (checkout / "notes.txt").write_text(f"see below\n{KEY.format(kind)}\n")
    status, said = check(checkout)
    assert status == 1
    assert "notes.txt" in said


@pytest.mark.parametrize(
    "module", ["airflow_sagemaker", "airflow_sagemaker.aws.client", "local_sagemaker.http.wsgi", "training.train"]
)
def test_what_our_own_modules_do_that_is_deprecated_fails_a_test(module: str) -> None:
    with pytest.raises(DeprecationWarning):
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module=module)


def test_what_is_deprecated_elsewhere_fails_none() -> None:
    warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module="airflow.models")
