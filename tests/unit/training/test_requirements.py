"""The program needs what the PyTorch container has, and what its own requirements.txt names; nothing else."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

TRAINING = Path(__file__).resolve().parents[3] / "training"
IN_THE_CONTAINER = {"torch", "numpy"}


def imported(file: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or ".")
    return {module.partition(".")[0] for module in modules}


def test_only_what_is_there_is_imported() -> None:
    pins = [line for line in (TRAINING / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    named = {pin.partition("==")[0].replace("-", "_") for pin in pins}
    used = set().union(*map(imported, TRAINING.rglob("*.py"))) - set(sys.stdlib_module_names) - {"training"}
    assert used == named | IN_THE_CONTAINER


def test_the_versions_are_those_that_the_tests_run_on() -> None:
    tested = (TRAINING.parent / "requirements.txt").read_text().splitlines()
    assert [pin for pin in (TRAINING / "requirements.txt").read_text().splitlines()[1:] if pin not in tested] == []
