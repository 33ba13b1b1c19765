"""Imported first by every `run`: goes on in the project's own Python (.venv), with the project's folders importable.

Standard library only: it may run in a Python that has nothing installed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def use_project_environment() -> None:
    """Start this program again in .venv unless it runs there; exit when there is none."""
    if Path(sys.prefix).resolve() != VENV.resolve():
        if not PYTHON.exists():
            sys.exit(f"found no {PYTHON}: make it with {ROOT / 'bin' / 'setup'}, then run this again")
        sys.stdout.flush()
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    sys.path[:0] = [str(ROOT / folder) for folder in ("benchmarks", "bin", "plugins", ".")]


use_project_environment()
