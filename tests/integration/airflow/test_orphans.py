"""Which executions an Airflow takes for its own.

The executions are real, the answers those of the REST API of Airflow 3.3, or 3.2 where a test says so;
tests/faults/airflow_stack asks a real one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.executions import Executions, execution_id
from airflow_sagemaker.aws.versions import CompiledPipeline
from airflow_sagemaker.cli.airflow_api import AirflowApi
from airflow_sagemaker.cli.orphans import Orphan, RecordsOnS3, find_orphans
from airflow_sagemaker.exceptions import ExecutionError
from airflow_sagemaker.start.record import ExecutionRecord, TaskRun
from airflow_sagemaker.start.record_on_s3 import RecordOnS3
from tests.support.fault_proxy import FaultProxy, arns_in_lower_case
from tests.support.pipelines import WAITS, Pipelines
from tests.support.samples import connection_of

RUN = TaskRun("train/daily", "scheduled__2026-01-01T00:00:00+00:00", "start", -1)
RUN_PATH = "/api/v2/dags/train%2Fdaily/dagRuns/scheduled__2026-01-01T00%3A00%3A00%2B00%3A00"
TASK_PATH = f"{RUN_PATH}/taskInstances/start"


@contextmanager
def airflow(answers: dict[str, Any]) -> Iterator[AirflowApi]:
    """An address that gives these answers (a number: that status), and 404 for all other paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = {"/api/v2/version": {"version": "3.3.2"}, **answers}.get(self.path)
            body = json.dumps(answer).encode()
            self.send_response(404 if answer is None else answer if isinstance(answer, int) else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield AirflowApi(f"http://127.0.0.1:{server.server_address[1]}", "token")
    finally:
        server.shutdown()
        server.server_close()


def test_a_token_is_sent_to_no_other_host() -> None:
    """A login page of somebody else's, to which a gateway redirects."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302 if self.path.startswith("/api") else 200)
            self.send_header("Location", f"http://{elsewhere}/login")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    port = server.server_address[1]
    elsewhere = f"localhost:{port}"
    with pytest.raises(
        ExecutionError, match=f"responded with 302 Found .it redirects to http://localhost:{port}/login"
    ):
        AirflowApi(f"http://127.0.0.1:{port}", "secret").check()
    assert asked == ["/api/v2/version"]
    elsewhere = f"127.0.0.1:{port}"
    with pytest.raises(ExecutionError, match="is not the URL of an Airflow"):
        AirflowApi(f"http://127.0.0.1:{port}", "secret").check()
    assert asked[1:] == ["/api/v2/version", "/login"]
    server.shutdown()
    server.server_close()


class Started:
    """An execution that some Airflow's task run has started, and the record it keeps of it."""

    def __init__(self, pipelines: Pipelines, made: CompiledPipeline, after: ExecutionRecord | None = None) -> None:
        self.record = ExecutionRecord.new(
            clear_epoch=1, generation=1, pipeline_name=made.pipeline_name, digest=made.digest, parameters={},
            partition="2026-01-01", after=after,
        )  # fmt: skip
        version = {"PipelineVersionAlias": made.version_alias}
        self.arn = pipelines.executions.start(
            made.pipeline_name,
            version=version,
            display_name=self.record.display_name,
            token=self.record.token,
            parameters={},
            description=RUN.owner_text("2026-01-01", 1),
        )
        assert self.arn is not None
        pipelines.started.append(self.arn)


@pytest.fixture
def made(pipelines: Pipelines) -> CompiledPipeline:
    return pipelines.deployed(WAITS)


def found(
    pipelines: Pipelines, made: CompiledPipeline, record: Any, task: str = "failed", run: str = "failed"
) -> dict[str, Orphan]:
    """What an Airflow finds whose task run has this record."""
    store = {"task_state_store": [], "total_entries": 0}
    answers = {RUN_PATH: {"state": run}, TASK_PATH: {"state": task}, f"{TASK_PATH}/state-store": store}
    if record is not None:
        answers[f"{TASK_PATH}/state-store/training_execution"] = {"key": "training_execution", "value": record}
    with airflow(answers) as api:
        return {o.execution.arn: o for o in find_orphans(pipelines.executions, api, [made.pipeline_name])}


def test_an_execution_that_the_record_names_is_this_airflows(pipelines: Pipelines, made: CompiledPipeline) -> None:
    first = Started(pipelines, made)
    second = Started(pipelines, made, after=first.record)
    orphans = found(pipelines, made, second.record.to_json())
    assert {arn: orphan.known for arn, orphan in orphans.items()} == {first.arn: True, second.arn: True}
    assert orphans[second.arn].reason == "its task is failed"


def test_another_airflows_execution_of_the_same_names_is_told_apart(
    pipelines: Pipelines, made: CompiledPipeline
) -> None:
    ours, theirs = Started(pipelines, made), Started(pipelines, made)
    orphans = found(pipelines, made, ours.record.to_json())
    assert (orphans[ours.arn].known, orphans[theirs.arn].known) == (True, False)
    assert "did not start the execution" in orphans[theirs.arn].reason
    assert found(pipelines, made, ours.record.to_json(), task="running") == {}


@pytest.mark.parametrize("record", [None, "s3://a-store-of-its-own/key", {"token": "x"}])
def test_without_a_record_that_can_be_read_nothing_is_known(
    pipelines: Pipelines, made: CompiledPipeline, record: Any
) -> None:
    started = Started(pipelines, made)
    orphan = found(pipelines, made, record)[started.arn]
    if record is None:
        assert (orphan.known, orphan.unread) == (False, False)
    else:  # a store of its own, or a later version: whether somebody waits is not known
        assert orphan.unread
        assert "not stopped" in orphan.reason


@pytest.mark.parametrize("run", ["running", "queued"])
def test_an_execution_that_its_sensor_waits_for_is_known_by_the_record(
    pipelines: Pipelines, made: CompiledPipeline, run: str
) -> None:
    """Whatever the start task's XCom holds: a backend may keep it elsewhere."""
    started = Started(pipelines, made)
    record = started.record.with_arn(started.arn.upper() if run == "queued" else started.arn)
    assert found(pipelines, made, record.to_json(), task="success", run=run) == {}
    over = found(pipelines, made, record.to_json(), task="success", run="failed")
    assert over[started.arn].reason == "its task succeeded and its DAG run is failed"


def test_a_list_in_lower_case_makes_no_orphans(
    pipelines: Pipelines, made: CompiledPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SageMaker has been seen to list ARNs in lower case (boto3 #4606)."""
    waited_for, left = Started(pipelines, made), Started(pipelines, made)
    with FaultProxy(pipelines.server.endpoint_url) as proxy:
        proxy.rewrite["ListPipelineExecutions"] = arns_in_lower_case
        monkeypatch.setenv("AIRFLOW_CONN_LISTED", connection_of(pipelines.server.env, proxy.url, pipelines.bucket))
        listed = Executions(Aws(AwsTarget("listed")))
        store = f"{TASK_PATH}/state-store/training_execution"
        record = waited_for.record.with_arn(str(waited_for.arn)).to_json()
        answers = {RUN_PATH: {"state": "running"}, TASK_PATH: {"state": "success"}, store: {"value": record}}
        with airflow(answers) as api:
            orphans = list(find_orphans(listed, api, [made.pipeline_name]))
    assert proxy.calls["ListPipelineExecutions"] >= 1
    assert [(orphan.execution.id, orphan.known) for orphan in orphans] == [(execution_id(str(left.arn)), False)]


def test_the_one_that_was_followed_by_another_is_an_orphan(pipelines: Pipelines, made: CompiledPipeline) -> None:
    first = Started(pipelines, made)
    second = Started(pipelines, made, after=first.record)
    orphans = found(pipelines, made, second.record.to_json(), task="success", run="running")
    assert list(orphans) == [first.arn]
    assert "has since started another execution" in orphans[first.arn].reason


def test_a_dag_run_that_may_not_be_read_is_left_alone(pipelines: Pipelines, made: CompiledPipeline) -> None:
    started = Started(pipelines, made)
    with airflow({RUN_PATH: 403}) as api:
        (orphan,) = find_orphans(pipelines.executions, api, [made.pipeline_name])
    assert (orphan.execution.arn, orphan.unread) == (started.arn, True)
    assert "responded with 403" in orphan.reason


def test_a_record_of_the_first_version_names_its_execution(pipelines: Pipelines, made: CompiledPipeline) -> None:
    started = Started(pipelines, made)
    stored = {key: value for key, value in started.record.to_json().items() if key not in ("earlier", "refused")}
    assert [orphan.known for orphan in found(pipelines, made, stored).values()] == [True]


class AirflowWithRecordsOnS3:
    """An Airflow 3.2, whose failed task run has its record on S3."""

    URL = "https://airflow.example"
    ANSWERS: ClassVar = {
        "/api/v2/version": {"version": "3.2.1"},
        RUN_PATH: {"state": "failed"},
        TASK_PATH: {"state": "failed"},
    }

    def __init__(self, pipelines: Pipelines, prefix: str) -> None:
        self.pipelines, self.prefix, self.aws = pipelines, prefix, pipelines.executions.aws

    def keep(self, record: ExecutionRecord) -> None:
        store = RecordOnS3(self.aws, self.pipelines.bucket, RUN, owner=f"{self.URL}/", prefix=self.prefix)
        store.load()
        store.save(record)

    def orphan(self, made: CompiledPipeline, *, base_url: str | None = URL) -> Orphan:
        """What is found with records on S3; without them when there is no base_url."""
        on_s3 = RecordsOnS3(self.aws, self.pipelines.bucket, base_url, self.prefix) if base_url else None
        with airflow(self.ANSWERS) as api:
            (orphan,) = find_orphans(self.pipelines.executions, api, [made.pipeline_name], on_s3)
        return orphan


@pytest.fixture
def older(pipelines: Pipelines, made: CompiledPipeline) -> AirflowWithRecordsOnS3:
    return AirflowWithRecordsOnS3(pipelines, f"records/{made.pipeline_name}")


def test_a_record_on_s3_names_its_execution(
    pipelines: Pipelines, made: CompiledPipeline, older: AirflowWithRecordsOnS3
) -> None:
    started = Started(pipelines, made)
    assert (older.orphan(made).known, older.orphan(made).unread) == (False, False)
    older.keep(started.record)
    orphan = older.orphan(made)
    assert (orphan.known, orphan.reason) == (True, "its task is failed")


def test_without_their_bucket_records_on_s3_are_unread(
    pipelines: Pipelines, made: CompiledPipeline, older: AirflowWithRecordsOnS3
) -> None:
    older.keep(Started(pipelines, made).record)
    orphan = older.orphan(made, base_url=None)
    assert orphan.unread
    assert "--record-bucket" in orphan.reason


def test_a_record_on_s3_of_another_airflow_is_not_this_ones(
    pipelines: Pipelines, made: CompiledPipeline, older: AirflowWithRecordsOnS3
) -> None:
    older.keep(Started(pipelines, made).record)
    orphan = older.orphan(made, base_url="https://another.example")
    assert orphan.unread
    assert "--base-url is https://another.example" in orphan.reason
