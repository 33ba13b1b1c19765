from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An Airflow home without a database: enough to read DAG files."""
    home = tmp_path_factory.mktemp("airflow")
    before = os.environ.get("AIRFLOW_HOME")
    os.environ["AIRFLOW_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["AIRFLOW_HOME"]
    else:
        os.environ["AIRFLOW_HOME"] = before


@pytest.fixture(scope="session")
def shipped(airflow_home: Path) -> dict[str, Any]:
    """The shipped DAGs by id, imported as Airflow imports them: with dags/ on the path (pyproject.toml)."""
    import flight_delay_follow_up
    import flight_delay_in_pipeline
    import flight_delay_scoring
    import flight_delay_training

    modules = (flight_delay_training, flight_delay_in_pipeline, flight_delay_follow_up, flight_delay_scoring)
    return {module.dag.dag_id: module.dag for module in modules}
