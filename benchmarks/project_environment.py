"""Runs a benchmark in the project's Python (.venv), with its folders importable. Every `run` imports it first.

Uses only the standard library, because the Python that starts it may have no packages.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def use_project_environment() -> None:
    """Start this program again in .venv unless it already runs there; exit if there is none."""
    if Path(sys.prefix).resolve() != VENV.resolve():
        if not PYTHON.exists():
            sys.exit(f"{PYTHON} does not exist: run {ROOT / 'bin' / 'setup'}, then try again")
        sys.stdout.flush()
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    sys.path[:0] = [str(ROOT / folder) for folder in ("benchmarks", "bin", "plugins", ".")]


use_project_environment()
