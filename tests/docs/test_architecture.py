"""What architecture.md and CONTRIBUTING.md say of folders, files and layers is so."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

ARCHITECTURE = ROOT / "docs" / "architecture.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
BASES = (ROOT, ROOT / "plugins" / "airflow_sagemaker", ROOT / "local_sagemaker", ROOT / "docs")
"""What a path on these pages may be relative to."""
PATH = re.compile(r"`((?:[\w.-]+/)+(?:[\w.-]+\.(?:py|js|md|yaml|toml|json))?|[\w-]+\.(?:py|js|md|yaml|toml|json))`")
MADE = {"contract.js", "last.json", "report.json", "manifest.json", "training.yaml"}
"""Names of files that are written by something, not kept."""


def layers(package: str) -> list[str]:
    """The layers that import-linter enforces, top first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [found] = [one["layers"] for one in contracts if one["type"] == "layers" and one["containers"] == [package]]
    return list(found)


def blocks_of(page: Path) -> list[list[str]]:
    """The lines of each block of plain text."""
    return [
        text.splitlines() for text in re.findall(r"^```text\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize("page", [ARCHITECTURE, CONTRIBUTING], ids=lambda page: page.name)
def test_every_path_exists(page: Path) -> None:
    named = set(PATH.findall(page.read_text())) - MADE
    assert len(named) > 20
    assert sorted(path for path in named if not any((base / path).exists() for base in BASES)) == []


@pytest.mark.parametrize("package", ["airflow_sagemaker", "local_sagemaker"])
def test_the_layers_are_those_that_are_enforced(package: str) -> None:
    assert layers(package) in blocks_of(ARCHITECTURE)


def test_every_folder_is_described() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {path.split("/")[0] for path in tracked.splitlines() if "/" in path}
    text = ARCHITECTURE.read_text()
    assert sorted(f for f in folders if not f.startswith(".") and f"`{f}/" not in text) == []


@pytest.mark.parametrize("package", ["airflow_sagemaker", "local_sagemaker"])
def test_every_layer_is_described(package: str) -> None:
    """Each module and folder at the top of a package is in a table row, which says what it contains."""
    rows = " ".join(re.findall(r"^\| (`[^|]+) \|", ARCHITECTURE.read_text(), re.MULTILINE))
    names = {name for line in layers(package) for name in line.split(" | ")}
    prefix = "" if package == "airflow_sagemaker" else "local_sagemaker/"
    forms = {name: (f"`{prefix}{name}`", f"`{prefix}{name}/`", f"`{prefix}{name}.py`") for name in names}
    assert sorted(name for name, found in forms.items() if not any(form in rows for form in found)) == []
