"""`predict`: score a table with a trained model, with the training program's code."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sagemaker.config.base import default_source_dir
from airflow_sagemaker.exceptions import ConfigurationError, Violation

if TYPE_CHECKING:
    import argparse

    from airflow_sagemaker.cli.output import Output


def predict(arguments: argparse.Namespace, output: Output) -> int:
    """Run `training.predict` in a separate process, with its output and exit code."""
    program = Path(default_source_dir())
    if program.name != "training" or not (program / "predict.py").is_file():
        rule = "must be the project's training/ folder, whose predict.py scores a table"
        raise ConfigurationError([Violation("AIRFLOW_SAGEMAKER_SOURCE_DIR", str(program), rule)], what="environment")
    if find_spec("torch") is None:
        hint = f"pip install torch -r {program / 'requirements.txt'}"
        raise ConfigurationError([Violation("torch", "(not installed)", "is required here", hint)], what="environment")
    path = os.pathsep.join(filter(None, [str(program.parent), os.environ.get("PYTHONPATH")]))
    # -P: a folder `training` in the current folder is not the program
    command = [sys.executable, "-P", "-m", "training.predict", arguments.model, arguments.rows]
    command += [arguments.answers] if arguments.answers else []
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode
