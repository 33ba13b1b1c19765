"""The stack's files, and Airflow's settings for running everything on one machine."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "flight-delays"
USERNAME = "admin"
POOL = "sagemaker_training"
OF_ANOTHER_AIRFLOW = (
    "AIRFLOW__DATABASE__",
    "AIRFLOW__CORE__SQL_ALCHEMY_",
    "AIRFLOW__SECRETS__",
    "AIRFLOW__LOGGING__REMOTE_",
)
"""Starts of the names of settings that lead to another Airflow's data."""


@dataclass(frozen=True)
class Ports:
    """The loopback ports of a stack."""

    web: int
    sagemaker: int
    worker_logs: int
    trigger_logs: int


@dataclass(frozen=True)
class Home:
    """The folder of everything that survives a stop: Airflow's home, the local SageMaker's data, logs and secrets."""

    path: Path

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.path / "airflow"

    @property
    def sagemaker(self) -> Path:
        """The data folder of the local SageMaker."""
        return self.path / "sagemaker"

    def last_sagemaker_port(self) -> int | None:
        """The last port of this home's local SageMaker."""
        try:
            endpoint: str = json.loads((self.sagemaker / "endpoint.json").read_text())["AWS_ENDPOINT_URL"]
            return urlsplit(endpoint).port
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self.path / "logs"

    @property
    def shell(self) -> Path:
        """The file that a shell reads to use the `airflow` command with this stack."""
        return self.path / "airflow.sh"

    @property
    def lock(self) -> Path:
        """The file that is locked while a stack uses this home."""
        return self.path / "stack.lock"

    def secret(self, name: str) -> str:
        """A random secret of this home, created at first use; only its owner can read it."""
        file = self.path / "secrets" / name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as out:
                out.write(secrets.token_urlsafe(32))
        return file.read_text()

    def fernet_key(self) -> str:
        """Airflow's key for connections and variables in the database."""
        from cryptography.fernet import Fernet

        file = self.path / "secrets" / "fernet"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(Fernet.generate_key())
        return file.read_text()

    def password(self) -> str:
        """The password of the UI's user, stored in the file that SimpleAuthManager reads."""
        file = self.airflow / "simple_auth_manager_passwords.json.generated"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as out:
                json.dump({USERNAME: secrets.token_urlsafe(12)}, out)
        return str(json.loads(file.read_text())[USERNAME])


def aws_connection(aws: Mapping[str, str], *, bucket: str, role_arn: str) -> str:
    """The Airflow connection `aws_default` for the local SageMaker, as JSON for AIRFLOW_CONN_AWS_DEFAULT.

    On AWS, the connection has a region, a bucket and a role, but no endpoints. Nothing else differs.
    """
    return json.dumps(
        {
            "conn_type": "aws",
            "login": aws["AWS_ACCESS_KEY_ID"],
            "password": aws["AWS_SECRET_ACCESS_KEY"],
            "extra": {
                "region_name": aws["AWS_DEFAULT_REGION"],
                "endpoint_url": aws["AWS_ENDPOINT_URL"],
                "service_config": {
                    "s3": {"bucket_name": bucket, "endpoint_url": aws["AWS_ENDPOINT_URL_S3"]},
                    "sagemaker": {"execution_role_arn": role_arn},
                },
            },
        }
    )


def write_shell_environment(home: Home, env: Mapping[str, str]) -> None:
    """Write the file for the `airflow` command (`. var/airflow.sh`); only its owner can read it."""
    names = sorted(k for k in env if k.startswith(("AIRFLOW", "SAGEMAKER_")) or k in ("PYTHONPATH", "NO_PROXY"))
    lines = [f"unset {name}" for name in of_another_airflow() if name not in env]
    lines += [f"export {name}={shlex.quote(env[name])}" for name in names]
    lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    home.shell.touch(mode=0o600)
    home.shell.write_text("\n".join(lines) + "\n")


def of_another_airflow() -> list[str]:
    """Return the caller's variables that name the database, secrets backend or remote logs of another Airflow.

    The stack must not use them: it would migrate that database, or find the connection `aws_default` of a real account.
    """
    return sorted(name for name in os.environ if name.startswith(OF_ANOTHER_AIRFLOW))


def airflow_environment(
    home: Home, ports: Ports, *, schedules: bool, settings: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of Airflow's processes: our defaults, the caller's AIRFLOW__... variables, and `settings`.

    Later ones take precedence. `of_another_airflow` lists those of the caller that are ignored.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", *OF_ANOTHER_AIRFLOW))}
    web = f"http://127.0.0.1:{ports.web}"
    ours = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__FERNET_KEY": home.fernet_key(),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USERNAME}:admin",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{web}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home.airflow / 'airflow.db'}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ports.web),
        "AIRFLOW__API__BASE_URL": web,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": home.secret("api"),
        "AIRFLOW__API_AUTH__JWT_SECRET": home.secret("jwt"),
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",  # find new DAG files within seconds instead of five minutes
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(ports.worker_logs),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(ports.trigger_logs),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(schedules),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SAGEMAKER_TRAINING_POOL": POOL,
    }
    # all servers are on loopback: a proxy in the caller's environment must not be used
    # another Airflow's home in the caller's environment must not be changed
    fixed = {
        "AIRFLOW_HOME": str(home.airflow),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    return {**ours, **inherited, **fixed, **(settings or {})}
