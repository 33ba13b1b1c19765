"""The one place that knows how Airflow's versions differ; docs/versions.md has the table.

Importing it refuses an Airflow that is too old, before imports from Airflow fail and explain nothing. Everything else
here asks for what is there instead of for a version.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

OLDEST = (3, 2)
WHY = "older ones have no partition keys and no plugin pages, and before 3.1.2 a killed task is not retried"


def installed() -> str | None:
    """Airflow's version; None without one. Airflow 3 is apache-airflow-core, Airflow 2 was apache-airflow."""
    for package in ("apache-airflow-core", "apache-airflow"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


def require() -> None:
    """Raise ImportError with one line when Airflow is older than 3.2."""
    found = installed()
    if found is None:
        return
    from packaging.version import Version

    if Version(found).release[:2] < OLDEST:
        raise ImportError(f"airflow_sagemaker needs Apache Airflow 3.2 or later, found {found}: {WHY}")


require()
