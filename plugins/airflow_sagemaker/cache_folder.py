"""The folder of files that may be deleted at any time: compiled definitions, and marks in lists of executions."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_sagemaker.exceptions import CompileError


def cache_folder() -> Path:
    """Return AIRFLOW_SAGEMAKER_CACHE_DIR, or the user's cache folder. Raises CompileError without a home folder."""
    named = os.environ.get("AIRFLOW_SAGEMAKER_CACHE_DIR")
    if named:
        return Path(named)
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # a user without a passwd entry, as in some containers
        raise CompileError(
            "this user has no home directory for the compile cache; set AIRFLOW_SAGEMAKER_CACHE_DIR"
        ) from None
    return Path(base) / "airflow-sagemaker"
