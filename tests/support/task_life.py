"""A task run in this process: its tries, clears and kills, behind proxies, and the invariants."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.executions import LIVE
from airflow_sagemaker.aws.owner import owners_clear_epoch, read_owner
from airflow_sagemaker.operators import SageMakerTrainingPipelineOperator
from airflow_sagemaker.start.record import KEY, ExecutionRecord
from local_sagemaker.testing import LocalSageMaker
from tests.faults.airflow.worker import FileStore
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.samples import HYPERPARAMETERS, connection_of

PROGRAM = "import time\ntime.sleep(600)\n"
DAY = "2013-07-04"


class Lines(logging.Handler):
    """The log of a cell's tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Logging(SageMakerTrainingPipelineOperator):
    """Logs to where the test reads it."""

    lines = logging.getLogger(__name__)

    @property
    def log(self) -> logging.Logger:
        """The task's log."""
        return self.lines


@dataclass
class Try:
    """A try: the operator and its result."""

    operator: SageMakerTrainingPipelineOperator
    returned: str | None = None
    error: BaseException | None = None

    @property
    def must_go_on(self) -> bool:
        """Whether Airflow would run the task again: it was deferred, or failed with retries."""
        return self.error is not None and type(self.error).__name__ != "AirflowFailException"


@dataclass
class Life:
    """A task run in this process: tries, clears and kills, through the proxies."""

    table: Table
    run_id: str = field(default_factory=lambda: f"run-{uuid.uuid4().hex[:8]}")
    max_tries: int = 3
    tries: list[Try] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.table.path / f"{self.run_id}.json"

    def operator(self, **settings: Any) -> SageMakerTrainingPipelineOperator:
        known = {"config": self.table.config, "on_busy": "ignore", "poll_interval": 0.2, "retries": 3}
        operator = Logging(task_id="start", **{**known, **settings})
        operator.lines = self.table.log
        operator.partition = DAY
        return operator

    def run(self, operator: SageMakerTrainingPipelineOperator) -> Try:
        attempt = Try(operator)
        self.tries.append(attempt)
        ti = SimpleNamespace(
            dag_id=self.table.dag_id, run_id=self.run_id, task_id="start", map_index=-1, max_tries=self.max_tries,
            try_number=len(self.tries), xcom_push=lambda key, value: None,
        )  # fmt: skip
        run = SimpleNamespace(partition_key=DAY, run_after=datetime.now(UTC), logical_date=None, clear_number=0)
        context: Any = {"ti": ti, "task_state_store": FileStore(self.store), "dag_run": run, "dag": None}
        try:
            attempt.returned = operator.execute(context)
        except BaseException as error:
            attempt.error = error
        return attempt

    def until_it_is_over(self, **settings: Any) -> None:
        """Run retries until there are none left, as Airflow does; faults must have ended."""
        self.table.clear()
        for _ in range(5):
            if self.tries and not self.tries[-1].must_go_on:
                return
            self.run(self.operator(**settings))

    def executions(self) -> list[dict[str, Any]]:
        pages = self.table.sagemaker.get_paginator("list_pipeline_executions").paginate(PipelineName=self.table.name)
        found = [summary for page in pages for summary in page["PipelineExecutionSummaries"]]
        return [e for e in found if read_owner(e["PipelineExecutionDescription"]).get("run_id") == self.run_id]

    def live(self) -> list[dict[str, Any]]:
        return [e for e in self.executions() if e["PipelineExecutionStatus"] in LIVE]

    def record(self) -> ExecutionRecord | None:
        return ExecutionRecord.from_json(FileStore(self.store).get(KEY))


@dataclass
class Table:
    """A pipeline, two proxies and a process that all cells share."""

    server: LocalSageMaker
    proxy: FaultProxy
    s3_proxy: FaultProxy
    path: Path
    name: str
    config: dict[str, Any]
    log: logging.Logger
    dag_id: str = "table"
    lines: list[str] = field(default_factory=list)
    """The log of the cell's tasks."""

    def __post_init__(self) -> None:
        self.sagemaker = self.server.client("sagemaker")

    def clear(self) -> None:
        self.proxy.clear()
        self.s3_proxy.clear()

    def inject(self, operation: str, fault: str) -> Fault:
        proxy = self.s3_proxy if operation == "ListObjectsV2" else self.proxy
        return proxy.inject(operation, fault)

    def status(self, arn: str) -> str:
        return str(self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])

    def stop_all(self, life: Life) -> None:
        """Leave nothing running."""
        for execution in life.live():
            with suppress(ClientError):  # it is stopping, or has just ended
                self.stop(execution["PipelineExecutionArn"])

    def stop(self, arn: str) -> None:
        self.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=uuid.uuid4().hex)


@contextmanager
def running_table(local_sagemaker: LocalSageMaker, path: Path) -> Iterator[Table]:
    """Yield a table with its own deployed pipeline, and proxies in front of the server."""
    name = bucket = f"table-{uuid.uuid4().hex[:10]}"
    (path / "source").mkdir()
    (path / "source" / "train.py").write_text(PROGRAM)
    s3 = local_sagemaker.client("s3")
    s3.create_bucket(Bucket=bucket)
    for channel in ("train", "val", "test"):
        s3.put_object(Bucket=bucket, Key=f"{name}/input/{DAY}/{channel}/{channel}.parquet", Body=b"PAR1")
    config = {
        "pipeline_name": name, "source_dir": str(path / "source"), "training_instance_type": "ml.m5.large",
        "profiler": None, "install_requirements": False, "distribution": "none", "hyperparameters": HYPERPARAMETERS,
    }  # fmt: skip
    log = logging.getLogger(name)
    log.setLevel(logging.DEBUG)
    env = local_sagemaker.env
    with (
        FaultProxy(local_sagemaker.endpoint_url) as proxy,
        FaultProxy(env["AWS_ENDPOINT_URL_S3"]) as s3_proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        connection = connection_of(env, proxy.url, bucket, s3_endpoint=s3_proxy.url)
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection)
        patch.setenv("AIRFLOW_SAGEMAKER_CACHE_DIR", str(path / "cache"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        AwsTarget("aws_default", "us-east-1").forget()
        AwsTarget("aws_default").forget()
        made = Table(local_sagemaker, proxy, s3_proxy, path, name, config, log)
        first = Life(made)
        assert first.run(first.operator()).error is None, (
            "the definition is compiled and deployed before the first cell"
        )
        made.stop(first.tries[0].returned)
        yield made


def check(life: Life, lines: list[str], *, ended: bool = True) -> None:
    """At most one execution is live per clear epoch, all are known, and no log line contradicts Describe."""
    live = life.live()
    epochs = [owners_clear_epoch(read_owner(e["PipelineExecutionDescription"])) for e in live]
    assert len(epochs) == len(set(epochs)), f"{live}\n" + "\n".join(lines)
    record = life.record()
    for execution in live:
        arn, name = execution["PipelineExecutionArn"], execution["PipelineExecutionDisplayName"]
        known = record is not None and (arn == record.arn or name in {record.display_name, *record.earlier})
        assert known, f"orphans would not know {arn}\n" + "\n".join(lines)
    for line in lines:
        for arn, said in re.findall(r"execution (arn:\S+?) is (\w+)", line, re.IGNORECASE):
            if said in {"Stopping", "Stopped"}:
                assert life.table.status(arn) in {"Stopping", "Stopped"}, line
    if not ended:
        return
    last = life.tries[-1]
    if last.returned is not None:
        assert {e["PipelineExecutionArn"] for e in live} <= {last.returned}, "\n".join(lines)
    elif "Stopping" not in "".join(lines) and "Stopped" not in "".join(lines):
        # the task has failed, and reported what keeps running
        assert not live or json.dumps(str(last.error)) != '""', "\n".join(lines)
