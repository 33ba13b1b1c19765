"""The real Airflow and the local SageMaker with DAGs of these tests."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from local_stack.processes import Child, free_port
from local_stack.settings import BUCKET, ROOT, Home
from local_stack.stack import Stack, running_stack

from tests.support.postgres import programs, running_postgres

TRAIN = """
import argparse, time
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
seconds = parser.parse_known_args()[0].epochs
for epoch in range(abs(seconds)):
    print(f"Train Loss: {1 / (epoch + 1):.6f}", flush=True)
    time.sleep(1)
if seconds == 3:
    raise RuntimeError("the user's own fault")
"""
FAILS = 3
"""Seconds after which the program above raises."""


class Faulty:
    """Triggers runs, looks at tasks, and counts executions by run."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.airflow = stack.airflow
        self.sagemaker, self.s3 = stack.client("sagemaker"), stack.client("s3")

    def trigger(self, dag_id: str, **conf: Any) -> str:
        self.airflow.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})
        self.put_channels(conf["day"])
        return str(self.airflow.trigger(dag_id, conf=conf)["dag_run_id"])

    def put_channels(self, partition: str, pipeline: str = "faulty") -> None:
        for channel in ("train", "val", "test"):
            key = f"{pipeline}/input/{partition}/{channel}/{channel}.parquet"
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"PAR1")

    def put_table(self, pipeline: str, partition: str, channel: str, rows: dict[str, list[Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = io.BytesIO()
        pq.write_table(pa.table(rows), table)
        key = f"{pipeline}/input/{partition}/{channel}/{channel}.parquet"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=table.getvalue())

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        return dict(self.airflow.get(path))

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 180) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.stack.processes.check()
            if value := condition():
                return value
            time.sleep(0.3)
        raise AssertionError(f"not within {seconds} s: {what}")

    def wait_task(self, dag_id: str, run_id: str, task_id: str, *states: str, seconds: float = 180) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            found = self.task(dag_id, run_id, task_id)
            return found if found["state"] in states else None

        try:
            return dict(self.wait(reached, f"{dag_id}.{task_id} in {states}", seconds))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story(dag_id, run_id)}") from None

    def story(self, dag_id: str, run_id: str) -> str:
        """All tasks of a run with their logs, for the one who must find out."""
        lines = []
        for task in self.airflow.task_instances(dag_id, run_id):
            lines.append(f"--- {task['task_id']}: {task['state']}, try {task['try_number']}")
            lines.append(self.log(dag_id, run_id, task["task_id"])[-6000:])
        return "\n".join(lines)

    def log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """The logs of all tries: Airflow may count a new try after a very short wait, and its API forget the old one.

        The file of such a try is still there.
        """
        tries = []
        for number in range(1, self.task(dag_id, run_id, task_id)["try_number"] + 1):
            try:
                tries.append(self.airflow.log(dag_id, run_id, task_id, number))
            except httpx.HTTPStatusError as error:
                logs = self.folder / f"home/airflow/logs/dag_id={dag_id}/run_id={run_id}/task_id={task_id}"
                file = logs / f"attempt={number}.log"
                tries.append(file.read_text() if file.is_file() else f"(no log of try {number}: {error})")
        return "\n".join(tries)

    def executions(self, run_id: str, pipeline: str = "faulty") -> list[dict[str, Any]]:
        """What this run has started, newest first."""
        try:
            pages = self.sagemaker.get_paginator("list_pipeline_executions").paginate(PipelineName=pipeline)
            found = [e for page in pages for e in page["PipelineExecutionSummaries"]]
        except self.sagemaker.exceptions.ResourceNotFound:
            return []
        return [e for e in found if json.loads(e["PipelineExecutionDescription"])["run_id"] == run_id]

    def status(self, arn: str) -> str:
        described = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return str(described["PipelineExecutionStatus"])

    def parameters(self, arn: str) -> dict[str, str]:
        reply = self.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
        return {parameter["Name"]: parameter["Value"] for parameter in reply["PipelineParameters"]}

    def clear(self, dag_id: str, run_id: str, *task_ids: str) -> None:
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": list(task_ids), "only_failed": False}
        self.airflow.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        self.airflow.call(
            "PATCH", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}", json={"new_state": state}
        )

    def child(self, name: str) -> Child:
        return next(child for child in self.stack.processes.children if child.name == name)

    def kill_and_restart(self, name: str) -> None:
        """SIGKILL a component of Airflow with all that it has started, and start it again."""
        self.kill(self.child(name))
        command = [sys.executable, "-m", "airflow", name]
        self.stack.processes.start(name, command, env=self.stack.environment, cwd=ROOT)

    def kill(self, child: Child) -> None:
        """SIGKILL a process of the stack with all that it has started."""
        self.stack.processes.children.remove(child)
        family = psutil.Process(child.process.pid).children(recursive=True)
        os.killpg(child.process.pid, signal.SIGKILL)
        for process in family:  # the executor's tasks lead sessions of their own
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        child.process.wait()

    @contextmanager
    def suspended(self, name: str) -> Iterator[None]:
        """Suspend a component of Airflow and its children, as a host does that is paused or out of memory."""
        parent = psutil.Process(self.child(name).process.pid)
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            process.suspend()
        try:
            yield
        finally:
            for process in family:
                process.resume()

    @contextmanager
    def second_triggerer(self) -> Iterator[None]:
        """Run another triggerer, which soon takes over the triggers of one without heartbeats."""
        settings = {
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        }
        command = [sys.executable, "-m", "airflow", "triggerer"]
        environment = {**self.stack.environment, **settings}
        self.stack.processes.start("triggerer-2", command, env=environment, cwd=ROOT)
        try:
            yield
        finally:
            self.kill(self.child("triggerer-2"))

    def stop_everything(self) -> None:
        for execution in self.sagemaker.list_pipeline_executions(PipelineName="faulty")["PipelineExecutionSummaries"]:
            if execution["PipelineExecutionStatus"] == "Executing":
                self.sagemaker.stop_pipeline_execution(
                    PipelineExecutionArn=execution["PipelineExecutionArn"], ClientRequestToken=uuid.uuid4().hex
                )


@contextmanager
def running_faulty(folder: Path, *, schedules: bool = False, **settings: str) -> Iterator[Faulty]:
    """An Airflow that finds dead tasks soon, on PostgreSQL where a server is installed: SQLite answers some calls of a
    busy machine with "database is locked".
    """
    (folder / "source").mkdir()
    (folder / "source" / "train.py").write_text(TRAIN)
    with running_postgres() if programs() else nullcontext("") as database:
        environment = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).with_name("dags")),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW_SAGEMAKER_CACHE_DIR": str(folder / "cache"),
            "FAULTS_DIR": str(folder),
            **({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database} if database else {}),
            **settings,
        }
        home = Home(folder / "home")
        with running_stack(home, max_jobs=4, schedules=schedules, settings=environment) as stack:
            made = Faulty(stack, folder)
            made.wait(lambda: stack.airflow.exists("/dags/alone"), "the DAGs")
            yield made
            made.stop_everything()


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with running_faulty(tmp_path_factory.mktemp("faulty")) as made:
        yield made
