"""Which settings of the caller's environment the stack uses, and which it must not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from local_stack.settings import Home, Ports, airflow_environment, of_another_airflow, write_shell_environment

PORTS = Ports(web=1, sagemaker=2, worker_logs=3, trigger_logs=4)
DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
PRODUCTION = "postgresql+psycopg2://airflow@production/airflow"


@pytest.mark.parametrize(
    "name",
    [
        DATABASE,
        f"{DATABASE}_CMD",
        f"{DATABASE}_SECRET",
        "AIRFLOW__CORE__SQL_ALCHEMY_CONN",
        "AIRFLOW__SECRETS__BACKEND",
        "AIRFLOW__SECRETS__BACKEND_KWARGS",
        "AIRFLOW__LOGGING__REMOTE_LOGGING",
    ],
)
def test_what_leads_to_another_airflow_is_not_used(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting the demo in the shell of a production Airflow must not migrate its database, nor use its connections."""
    monkeypatch.setenv(name, PRODUCTION)
    environment = airflow_environment(Home(tmp_path), PORTS, schedules=False)
    assert PRODUCTION not in environment.values()
    assert name in of_another_airflow()

    home = Home(tmp_path)
    write_shell_environment(home, environment)
    shell = ["bash", "-c", f'. "$1"; printf %s "${{{name}:-}}"', "-", str(home.shell)]
    seen = subprocess.run(shell, capture_output=True, text=True, check=True).stdout
    assert seen == environment.get(name, "")


def test_other_settings_of_the_caller_win_over_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", "/my/dags")
    environment = airflow_environment(Home(tmp_path), PORTS, schedules=False)
    assert environment["AIRFLOW__CORE__DAGS_FOLDER"] == "/my/dags"
    settings = {"AIRFLOW__CORE__DAGS_FOLDER": "/given", DATABASE: "postgresql://own"}
    environment = airflow_environment(Home(tmp_path), PORTS, schedules=False, settings=settings)
    assert (environment["AIRFLOW__CORE__DAGS_FOLDER"], environment[DATABASE]) == ("/given", "postgresql://own")
