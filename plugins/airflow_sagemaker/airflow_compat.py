"""Refuse an Airflow that is too old, when imported: before imports from Airflow fail and explain nothing."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

OLDEST = (3, 3)
"""The first with a task state store, where the record of an execution is kept."""


def installed() -> str | None:
    """Airflow's version; None without one. Airflow 3 is apache-airflow-core, Airflow 2 was apache-airflow."""
    for package in ("apache-airflow-core", "apache-airflow"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


def require() -> None:
    """Raise ImportError with one line when Airflow is older than 3.3."""
    found = installed()
    if found is None:
        return
    from packaging.version import Version

    if Version(found).release[:2] < OLDEST:
        raise ImportError(f"airflow_sagemaker needs Apache Airflow 3.3 or later (its task state store), found {found}")


require()
