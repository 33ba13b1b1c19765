"""Starts the local SageMaker and Airflow in the right order, and waits until they are ready."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from local_stack.errors import StackError
from local_stack.processes import ProcessSet, free_port, require_free_port
from local_stack.rest import AirflowClient
from local_stack.settings import (
    BUCKET,
    POOL,
    ROOT,
    USERNAME,
    Home,
    Ports,
    airflow_environment,
    aws_connection,
    of_another_airflow,
    write_shell_environment,
)

if TYPE_CHECKING:
    from local_sagemaker.types import BotoClient

READY_SECONDS = 300
"""On slow machines, the first import of Airflow takes minutes. A component that ends is noticed at once."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Stack:
    """A running stack: its addresses, its clients and its processes."""

    home: Home
    url: str
    password: str
    aws: dict[str, str]
    airflow: AirflowClient
    processes: ProcessSet
    environment: dict[str, str]

    def client(self, service: str) -> BotoClient:
        """A boto3 client of the local SageMaker."""
        import boto3

        session = boto3.Session(
            self.aws["AWS_ACCESS_KEY_ID"], self.aws["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1"
        )
        key = "AWS_ENDPOINT_URL_S3" if service == "s3" else "AWS_ENDPOINT_URL"
        client: BotoClient = session.client(service, endpoint_url=self.aws[key])
        return client


@contextmanager
def running_stack(
    home: Home,
    *,
    web_port: int = 0,
    sagemaker_port: int = 0,
    schedules: bool = True,
    max_jobs: int | None = None,
    settings: Mapping[str, str] | None = None,
    progress: Progress = lambda _text: None,
) -> Iterator[Stack]:
    """Start a stack on `home`; all of its processes end with the context.

    A port of 0 is any free port (see `port_of_sagemaker`). `max_jobs`: concurrent training jobs (default: the local
    SageMaker's default). `settings`: more environment variables of Airflow's processes. Raises StackError if a port is
    in use, another stack uses this home, or a process does not start.
    """
    ports = Ports(
        web=require_free_port(web_port, option="--port"),
        sagemaker=port_of_sagemaker(home, sagemaker_port),
        worker_logs=free_port(),
        trigger_logs=free_port(),
    )
    with _locked(home), ProcessSet(home.logs) as processes:
        ignored = of_another_airflow()
        if ignored:
            progress(f"ignoring settings of another Airflow in the environment: {', '.join(ignored)}")
        env = airflow_environment(home, ports, schedules=schedules, settings=settings)
        password = home.password()
        progress("starting the local SageMaker and preparing Airflow's database")
        options = [] if max_jobs is None else ["--max-jobs", str(max_jobs)]
        _start_sagemaker(processes, home, ports, options)
        _migrate(home, env)
        aws = _wait_for_sagemaker(processes)
        env["AIRFLOW_CONN_AWS_DEFAULT"] = aws_connection(
            aws, bucket=BUCKET, role_arn="arn:aws:iam::123456789012:role/LocalSageMakerRole"
        )
        write_shell_environment(home, env)
        progress("starting Airflow: api-server, scheduler, dag-processor, triggerer")
        url = f"http://127.0.0.1:{ports.web}"
        client = AirflowClient(url, USERNAME, password)
        _start_airflow(processes, client, env)
        client.sign_in()
        stack = Stack(home, url, password, aws, client, processes, env)
        _create_bucket(stack)
        _create_pool(client)
        yield stack


def _start_airflow(processes: ProcessSet, client: AirflowClient, env: Mapping[str, str]) -> None:
    """Start Airflow's components, and wait until they are healthy."""
    for component in ("api-server", "dag-processor", "triggerer"):
        processes.start(component, [sys.executable, "-m", "airflow", component], env=env, cwd=ROOT)
    processes.wait_until(lambda: client.healthy("metadatabase"), what="Airflow's api-server", seconds=READY_SECONDS)
    # last: a task that the scheduler starts before the API server answers has failed
    processes.start("scheduler", [sys.executable, "-m", "airflow", "scheduler"], env=env, cwd=ROOT)
    parts = ("scheduler", "triggerer", "dag_processor")
    processes.wait_until(lambda: client.healthy(*parts), what="Airflow", seconds=READY_SECONDS)


def port_of_sagemaker(home: Home, asked: int) -> int:
    """Return `asked`; for 0, the last port, which the buttons of earlier runs link to, else any free one."""
    last = home.last_sagemaker_port() if asked == 0 else None
    if last:
        with suppress(StackError):
            return require_free_port(last, option="--sagemaker-port")
    return require_free_port(asked, option="--sagemaker-port")


@contextmanager
def _locked(home: Home) -> Iterator[None]:
    """Lock the home, since two stacks with the same home would share a database and a data folder."""
    with _opened_lock(home) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise StackError(
                f"a stack already runs on {home.path} (process {holder}): "
                "stop it, or choose another folder with --home DIR"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _opened_lock(home: Home) -> IO[str]:
    try:
        home.path.mkdir(parents=True, exist_ok=True)
        return home.lock.open("a+")
    except OSError as error:
        raise StackError(
            f"the folder {home.path} cannot be used ({error.strerror}): choose another with --home DIR"
        ) from None


def _start_sagemaker(processes: ProcessSet, home: Home, ports: Ports, options: list[str]) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "AIRFLOW"))}
    python = os.environ.get("LOCAL_SAGEMAKER_PYTHON") or sys.executable
    command = [python, "-m", "local_sagemaker", "serve", "--data-dir", str(home.sagemaker)]
    processes.start("local-sagemaker", [*command, "--port", str(ports.sagemaker), *options], env=env, cwd=ROOT)


def _wait_for_sagemaker(processes: ProcessSet) -> dict[str, str]:
    """The AWS_* settings that the local SageMaker prints when it is ready."""
    log = next(child.log for child in processes.children if child.name == "local-sagemaker")
    found: dict[str, str] = {}

    def ready() -> bool:
        text = log.read_text(errors="replace")
        found.update((name, value.strip("'\"")) for name, value in re.findall(r"^export (AWS_\w+)=(.*)$", text, re.M))
        return "AWS_ENDPOINT_URL_S3" in found and "AWS_EC2_METADATA_DISABLED" in found

    processes.wait_until(ready, what="the local SageMaker", seconds=READY_SECONDS)
    return found


def _migrate(home: Home, env: dict[str, str]) -> None:
    """Migrate the database to this Airflow's schema, unless this version has already done so."""
    from importlib.metadata import version

    embedded = env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{home.airflow / 'airflow.db'}"
    mark = home.airflow / f"migrated-{version('apache-airflow-core')}"
    if embedded and mark.exists() and (home.airflow / "airflow.db").exists():
        return
    home.airflow.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    done = subprocess.run(
        command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    log = home.logs / "migrate.log"
    log.write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise StackError(f"Airflow's database could not be prepared: {' '.join(last)} (full output: {log})")
    if embedded:
        mark.touch()


def _create_bucket(stack: Stack) -> None:
    s3 = stack.client("s3")
    if BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=BUCKET)


def _create_pool(client: AirflowClient) -> None:
    """Create the shipped DAG's pool, which limits the number of concurrent trainings."""
    if not client.exists(f"/pools/{POOL}"):
        body = {"name": POOL, "slots": 8, "description": "Concurrent trainings on SageMaker", "include_deferred": True}
        client.call("POST", "/pools", json=body)


def default_home(chosen: Path | None) -> Home:
    """`--home DIR`, else `var/` in the checkout."""
    return Home((chosen or ROOT / "var").resolve())
