"""A real Airflow for the browser tests: api-server, scheduler, dag-processor and triggerer over tests/browser/dags."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_stack.processes import ProcessSet, free_port
from local_stack.rest import AirflowClient
from local_stack.settings import ROOT, Home, Ports, airflow_environment

BROWSER = ROOT / "tests" / "browser"
USERS = {"admin": "admin", "reader": "viewer", "narrow": "viewer", "stranger": ""}
"""User and role of SimpleAuthManager; without a role, a user has no permissions."""
PASSWORD = "browser-tests"


@dataclass
class Airflow:
    """The running Airflow: its URL, a client signed in as admin, and the stack."""

    url: str
    client: AirflowClient
    env: dict[str, str]
    processes: ProcessSet

    @property
    def hold(self) -> Path:
        """While this file exists, trainings pause after three epochs."""
        return Path(self.env["PAGES_HOLD"])

    def seed_year(self, dag_id: str, *, days: int = 365) -> None:
        """Add a year of finished runs of `dag_id` to the database."""
        command = [sys.executable, "-m", "tests.browser.seed", dag_id, "2013-01-01", str(days)]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)


@contextmanager
def running_airflow(folder: Path, **settings: str) -> Iterator[Airflow]:
    """Run an Airflow in `folder` on free ports, with its DAGs parsed; `settings` are more AIRFLOW__ variables."""
    home, ports = Home(folder), Ports(free_port(), free_port(), free_port(), free_port())
    env = airflow_environment(home, ports, schedules=False) | {
        "AIRFLOW__CORE__DAGS_FOLDER": str(BROWSER / "dags"),
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.browser.auth_manager.PerDagAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "AIRFLOW__AIRFLOW_SAGEMAKER__PRICE_PER_HOUR": json.dumps({"ml.g5.12xlarge": 7.09}),
        "PAGES_HOLD": str(folder / "hold"),
        **settings,
    }
    home.airflow.mkdir(parents=True)
    passwords = home.airflow / "simple_auth_manager_passwords.json.generated"
    passwords.write_text(json.dumps(dict.fromkeys(USERS, PASSWORD)))
    url = f"http://127.0.0.1:{ports.web}"
    with ProcessSet(home.logs) as processes:
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(migrate, env=env, cwd=ROOT, check=True, capture_output=True)
        for component in ("api-server", "scheduler", "dag-processor", "triggerer"):
            processes.start(component, [sys.executable, "-m", "airflow", component], env=env, cwd=ROOT)
        client = AirflowClient(url, "admin", PASSWORD)
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        processes.wait_until(lambda: client.healthy(*parts), what="Airflow", seconds=120)
        client.sign_in()
        processes.wait_until(lambda: client.exists("/dags/pages_year"), what="the DAGs", seconds=90)
        yield Airflow(url, client, env, processes)
