"""The same promise where the record is an object on S3, as with Airflow 3.2: one execution per task run."""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.exceptions import ConfigurationError, ExecutionError
from airflow_sagemaker.start.record import ExecutionRecord, TaskRun
from airflow_sagemaker.start.record_on_s3 import PREFIX, RecordOnS3
from tests.faults.airflow.conftest import Bench
from tests.support.waiting import wait_until


@pytest.mark.parametrize("point", ["before_record", "after_record", "before_arn", "after_arn", "before_xcom"])
def test_worker_killed_around_the_start(bench: Bench, point: str) -> None:
    bench.work(halt=point, on_s3=True).kill_at(point)
    before = {e["PipelineExecutionArn"] for e in bench.executions()}
    assert len(before) == (0 if point in {"before_record", "after_record"} else 1)
    retried = bench.work(try_number=2, on_s3=True).result()
    after = [e["PipelineExecutionArn"] for e in bench.executions()]
    assert after == [retried["returned"]]
    assert before <= set(after)


def test_worker_killed_after_the_server_acted(bench: Bench) -> None:
    assert bench.work(run_id="deploys", on_s3=True).result()["returned"]
    held = bench.proxy.inject("StartPipelineExecution", "hold_reply")
    worker = bench.work(on_s3=True)
    wait_until(held.forwarded.is_set, "the start call's reply")
    worker.kill()
    result = bench.work(try_number=2, on_s3=True).result()
    assert len(bench.executions()) == 2
    assert bench.executions()[0]["PipelineExecutionArn"] == result["returned"]


def test_clear_trains_anew_and_ends_the_old_execution(bench: Bench) -> None:
    first = bench.work(max_tries=1, on_s3=True).result()["returned"]
    cleared = bench.work(max_tries=2, try_number=2, on_s3=True).result()["returned"]
    assert cleared != first
    assert (bench.status(first), bench.status(cleared)) == ("Stopped", "Executing")


class Tries:
    """Processes that keep the record of one task run in one bucket."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.bucket = f"records-{uuid.uuid4().hex[:12]}"
        self.s3 = server.client("s3")
        self.s3.create_bucket(Bucket=self.bucket)
        self.run = TaskRun("d", f"r-{self.bucket}", "t", -1)

    def store(self, **options: Any) -> RecordOnS3:
        target: Any = SimpleNamespace(client=self.server.client, key=lambda: "test", forget=lambda: None)
        aws = Aws(target, logging.getLogger("test"), patience=1)
        return RecordOnS3(aws, self.bucket, self.run, **{"owner": "http://one", **options})


@pytest.fixture
def tries(local_sagemaker: Any) -> Tries:
    return Tries(local_sagemaker)


def record(digest: str = "d") -> ExecutionRecord:
    return ExecutionRecord.new(
        clear_epoch=1, generation=1, pipeline_name="p", digest=digest, parameters={"A": "1"}, partition="2013-07-04"
    )


def test_what_one_try_has_saved_any_other_loads(tries: Tries) -> None:
    store, saved = tries.store(), record()
    assert store.load() is None
    store.save(saved)
    store.save(saved.with_arn("arn"))
    assert tries.store().load() == saved.with_arn("arn")


def test_of_two_tries_that_see_no_record_one_writes_it(tries: Tries) -> None:
    one, other = tries.store(), tries.store()
    assert one.load() is other.load() is None
    one.save(record("one"))
    with pytest.raises(ExecutionError, match="another try of this task has written its record"):
        other.save(record("other"))
    found = tries.store().load()
    assert found is not None
    assert found.digest == "one"


def test_a_try_that_was_taken_for_dead_cannot_replace_its_successors_record(tries: Tries) -> None:
    tries.store().save(record())
    dead, successor = tries.store(), tries.store()
    known = dead.load()
    assert known is not None
    assert known == successor.load()
    successor.save(replace(known, generation=2))
    with pytest.raises(ExecutionError, match="another try"):
        dead.save(known.with_arn("arn"))


def test_a_write_whose_answer_was_lost_is_ones_own(tries: Tries) -> None:
    store, saved = tries.store(), record()
    store.load()
    store.save(saved)
    store._version = None  # as before the write
    store.save(saved)
    store.save(saved.with_arn("arn"))


def test_the_record_of_another_airflow_is_refused(tries: Tries) -> None:
    tries.store().save(record())
    with pytest.raises(ConfigurationError, match=r"another Airflow \(http://one\).*record_prefix"):
        tries.store(owner="http://two").load()
    assert tries.store(owner="http://two", prefix=f"{PREFIX}-two").load() is None


def test_a_bucket_that_is_not_there_is_no_missing_record(tries: Tries) -> None:
    tries.s3.delete_bucket(Bucket=tries.bucket)
    with pytest.raises(ExecutionError, match="reading the record s3://"):
        tries.store().load()


def test_the_object_says_for_people_which_task_run_it_is_of(tries: Tries) -> None:
    tries.store().save(record())
    (found,) = tries.s3.list_objects_v2(Bucket=tries.bucket, Prefix=f"{PREFIX}/")["Contents"]
    content = json.loads(tries.s3.get_object(Bucket=tries.bucket, Key=found["Key"])["Body"].read())
    assert content["task_run"]["run_id"] == tries.run.run_id
