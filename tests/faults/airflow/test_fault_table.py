"""Every operation under every fault at every moment of a task run's life, and what must hold in each cell.

* At most one live execution per clear epoch.
* None lives that no task follows and that `orphans` does not list, which knows it by the record or the description.
* No line in a log says what Describe denies.

The fast suite runs a pairwise selection (each fault with each operation, and with each moment); `--slow` runs all.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.executions import LIVE
from airflow_sagemaker.aws.owner import owners_clear_epoch, read_owner
from airflow_sagemaker.operators import SageMakerTrainingPipelineOperator
from airflow_sagemaker.start.record import KEY, ExecutionRecord
from tests.faults.airflow.worker import FileStore
from tests.support.fault_proxy import FaultProxy
from tests.support.samples import HYPERPARAMETERS, connection_of
from tests.support.waiting import wait_until

FAULTS = (
    "throttle", "error500", "quota", "conflict", "expired", "denied", "refused", "skew", "strange", "html403",
    "html404", "html407", "html502", "latin1", "login", "empty404", "reset", "lose_reply", "cut_reply",
)  # fmt: skip
FAST_FAULTS = ("throttle", "conflict", "denied", "strange", "html407", "login", "lose_reply")
"""One of each kind: the fast suite has a minute for this table."""
PROGRAM = "import time\ntime.sleep(600)\n"
DAY = "2013-07-04"


class Lines(logging.Handler):
    """What the tasks of a cell have logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Logging(SageMakerTrainingPipelineOperator):
    """Logs where a test can read it."""

    lines: Any = None

    @property
    def log(self) -> Any:
        """The task's log."""
        return self.lines


@dataclass
class Try:
    """One try: the operator and what became of it."""

    operator: SageMakerTrainingPipelineOperator
    returned: Any = None
    error: BaseException | None = None

    @property
    def must_go_on(self) -> bool:
        """Whether Airflow would run the task again: it was deferred, or failed in a way that a retry heals."""
        return self.error is not None and type(self.error).__name__ != "AirflowFailException"


@dataclass
class Life:
    """The life of one task run in this process: tries, clears and kills, through the proxies."""

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
        """As Airflow does: retries while there is one to make. Faults are over by then."""
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
    """What all cells share: a pipeline, two proxies, one process."""

    server: Any
    proxy: FaultProxy
    s3_proxy: FaultProxy
    path: Path
    name: str
    config: dict[str, Any]
    log: logging.Logger
    dag_id: str = "table"
    lines: list[str] = field(default_factory=list)
    """What the cell's tasks have logged."""

    def __post_init__(self) -> None:
        self.sagemaker = self.server.client("sagemaker")

    def clear(self) -> None:
        self.proxy.clear()
        self.s3_proxy.clear()

    def inject(self, operation: str, fault: str) -> Any:
        proxy = self.s3_proxy if operation == "ListObjectsV2" else self.proxy
        return proxy.inject(operation, fault)

    def status(self, arn: str) -> str:
        return str(self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])

    def stop(self, arn: str) -> None:
        self.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=uuid.uuid4().hex)


@pytest.fixture(scope="module")
def table(local_sagemaker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    path = tmp_path_factory.mktemp("table")
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


# --- the moments -----------------------------------------------------------------------------------------------------


def starting(life: Life, strike: Callable[[], Any]) -> None:
    """Before the record and during the call."""
    strike()
    life.run(life.operator())
    life.until_it_is_over()


def started_and_retried(life: Life, strike: Callable[[], Any]) -> None:
    """After the record has its ARN."""
    life.run(life.operator())
    strike()
    life.run(life.operator())
    life.until_it_is_over()


def unanswered_and_retried(life: Life, strike: Callable[[], Any]) -> None:
    """After the record is written and the call was made, before the answer: the worker is gone."""
    life.run(life.operator())
    record = life.record()
    assert record is not None
    stored = record.to_json() | {"arn": None}
    FileStore(life.store).set(KEY, stored, retention=True)
    strike()
    life.run(life.operator())
    life.until_it_is_over()


def cleared(life: Life, strike: Callable[[], Any]) -> None:
    """Stopping what was started before a clear."""
    life.run(life.operator())
    life.max_tries += 1
    strike()
    life.run(life.operator())
    life.until_it_is_over()


def waiting(life: Life, strike: Callable[[], Any]) -> None:
    """While the operator waits in the worker; somebody stops the execution in the end."""
    alone = {"wait_for_completion": True}
    thread = threading.Thread(target=lambda: life.run(life.operator(**alone)))
    thread.start()
    wait_until(lambda: life.live() and any("Execution is Executing" in line for line in life.table.lines), "the wait")
    strike()
    wait_until(lambda: len(life.live()) == 1, "the execution")
    life.table.stop(life.live()[0]["PipelineExecutionArn"])
    thread.join(180)
    assert not thread.is_alive()


def killed_while_waiting(life: Life, strike: Callable[[], Any]) -> None:
    """on_kill while the operator waits."""
    operator = life.operator(wait_for_completion=True)
    thread = threading.Thread(target=life.run, args=(operator,))
    thread.start()
    wait_until(lambda: life.live() and any("Execution is Executing" in line for line in life.table.lines), "the wait")
    strike()
    operator.on_kill()
    thread.join(180)
    assert not thread.is_alive()


def killed_while_starting(life: Life, strike: Callable[[], Any]) -> None:
    """on_kill while the start call is under way."""
    operator = life.operator()
    held = life.table.proxy.inject("StartPipelineExecution", "hold_reply")
    thread = threading.Thread(target=life.run, args=(operator,))
    thread.start()
    wait_until(held.forwarded.is_set, "the call")
    strike()
    operator.on_kill()
    held.release()
    thread.join(180)
    assert not thread.is_alive()


MOMENTS: dict[Callable[..., None], tuple[str, ...]] = {
    starting: ("ListObjectsV2", "DescribePipeline", "StartPipelineExecution"),
    started_and_retried: ("DescribePipelineExecution",),
    unanswered_and_retried: ("ListPipelineExecutions", "DescribePipelineExecution"),
    cleared: ("DescribePipelineExecution", "StopPipelineExecution", "DescribePipeline", "StartPipelineExecution"),
    waiting: ("DescribePipelineExecution", "ListPipelineExecutionSteps"),
    killed_while_waiting: ("StopPipelineExecution", "DescribePipelineExecution"),
    killed_while_starting: ("StartPipelineExecution", "StopPipelineExecution", "DescribePipelineExecution"),
}
"""Each moment with the operations that it calls."""

Cell = tuple[Callable[..., None], str, str]
CELLS: list[Cell] = [
    (moment, operation, fault)
    for moment, operations in MOMENTS.items()
    for operation, fault in itertools.product(operations, FAULTS)
]


def pairwise(cells: list[Cell]) -> set[Cell]:
    """A selection in which each of FAST_FAULTS meets each operation and each moment."""
    chosen: set[Cell] = set()
    seen: set[tuple[object, ...]] = set()
    for cell in cells:
        moment, operation, fault = cell
        pairs = {(moment, fault), (operation, fault)}
        if fault in FAST_FAULTS and pairs - seen:
            chosen.add(cell)
            seen |= pairs
    return chosen


FAST = pairwise(CELLS)


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(cell, id="-".join([cell[0].__name__, *cell[1:]]), marks=[] if cell in FAST else pytest.mark.slow)
        for cell in CELLS
    ],
)
def test_a_cell(table: Table, cell: Cell) -> None:
    moment, operation, fault = cell
    lines = Lines()
    table.log.addHandler(lines)
    table.lines = lines.lines
    life = Life(table)
    try:
        moment(life, lambda: table.inject(operation, fault))
        table.clear()
        check(life, lines.lines)
    finally:
        table.clear()
        table.log.removeHandler(lines)
        for execution in life.live():
            table.stop(execution["PipelineExecutionArn"])


def check(life: Life, lines: list[str]) -> None:
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
    last = life.tries[-1]
    if last.returned is not None:
        assert [e["PipelineExecutionArn"] for e in live][:1] == [last.returned], "\n".join(lines)
    elif "Stopping" not in "".join(lines) and "Stopped" not in "".join(lines):
        # the task has failed, and what runs all the same was said
        assert not live or json.dumps(str(last.error)) != '""', "\n".join(lines)
