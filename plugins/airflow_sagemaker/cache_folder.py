"""Where this package keeps what may be lost: compiled definitions, and how far the lists of executions were read."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_sagemaker.exceptions import CompileError


def cache_folder() -> Path:
    """AIRFLOW_SAGEMAKER_CACHE_DIR, else the user's cache folder. Raises CompileError for a user without a home."""
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
