"""Adds the training program to the wheel, inside the package; everything else is in pyproject.toml."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithTrainingProgram(build_py):
    """Copies `training/`, which is next to `plugins/` in a checkout, to `airflow_sagemaker/program/` in the package."""

    def run(self) -> None:
        """Build the package, and add the program."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "airflow_sagemaker" / "program" / "training"
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree("training", target, ignore=ignored, dirs_exist_ok=True)


setup(cmdclass={"build_py": WithTrainingProgram})
