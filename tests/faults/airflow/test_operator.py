"""What the operator refuses before any call, what it waits for, and how it ends what it started."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest

from tests.faults.airflow.conftest import Bench
from tests.support.waiting import wait_until


def refused(bench: Bench, operator: dict[str, Any], **task: Any) -> str:
    """The message of a try that must fail for good before anything is started."""
    result = bench.work(operator=operator, **task).result()
    assert result["error"] == "AirflowFailException", result
    assert bench.executions() == []
    return str(result["message"])


def test_violations_fail_at_once_all_together_and_without_a_call(bench: Bench) -> None:
    config = bench.config(training_instance_type="ml.nonsense", training_volume_size=0)
    message = refused(bench, {"config": config})
    assert "training_instance_type" in message
    assert "training_volume_size" in message
    assert sum(bench.proxy.calls.values()) == 0


def test_an_explicit_path_must_hold_the_partition(bench: Bench) -> None:
    message = refused(bench, {"config": bench.config(output_path=f"s3://{bench.shop.bucket}/models/latest")})
    assert "must contain the run's partition '2013-07-04'" in message
    assert sum(bench.proxy.calls.values()) == 0


@pytest.mark.parametrize("partition", ["None", "", "{{ ds }}"])
def test_a_partition_that_rendered_to_nothing_is_refused(bench: Bench, partition: str) -> None:
    assert "must be a date or key" in refused(bench, {}, partition=partition)


def test_missing_channels_are_named_all_together(bench: Bench) -> None:
    config = bench.config(input_path=f"s3://{bench.shop.bucket}/nowhere/2013-07-04")
    message = refused(bench, {"config": config})
    assert all(
        f"nowhere/2013-07-04/{name}/{name}.parquet does not exist" in message for name in ("train", "val", "test")
    )


def test_dry_run_starts_nothing_and_says_what_it_would(bench: Bench) -> None:
    result = bench.work(operator={"dry_run": True}).result()
    assert result["error"] == "AirflowSkipException"
    assert result["pushed"]["training_pipeline"]["parameters"]["HyperparameterEpochs"] == "600"
    assert bench.executions() == []
    assert bench.proxy.calls["StartPipelineExecution"] == 0


def test_a_test_run_is_the_same_definition_on_one_small_instance(bench: Bench) -> None:
    full = bench.work(run_id="full").result()["pushed"]["training_pipeline"]
    test = bench.work(run_id="test", operator={"mode": "test"}).result()["pushed"]["training_pipeline"]
    assert test["digest"] == full["digest"]
    assert test["parameters"]["HyperparameterEpochs"] == "1"
    assert test["parameters"]["TrainingInstanceType"] == "ml.m5.large"


@pytest.mark.parametrize(
    ("fault", "said"),
    [("throttle", "throttled"), ("error500", "unavailable"), ("reset", "unavailable"), ("expired", "expired")],
)
def test_what_heals_is_repeated_and_said(bench: Bench, fault: str, said: str) -> None:
    bench.proxy.inject("StartPipelineExecution", fault)
    worker = bench.work()
    assert worker.result()["returned"], worker.log
    assert said in worker.log
    assert len(bench.executions()) == 1


def test_credentials_that_stay_expired_fail_at_once_and_say_what_to_do(bench: Bench) -> None:
    bench.proxy.inject("StartPipelineExecution", "expired", times=99)
    result = bench.work().result()
    assert result["error"] == "ExecutionError"
    assert "renew them in the Airflow connection" in result["message"]
    assert bench.proxy.calls["StartPipelineExecution"] == 2, "once more with credentials that were read anew"
    assert bench.executions() == []


def test_another_accounts_role_is_assumed_for_every_call(bench: Bench) -> None:
    role = "arn:aws:iam::210987654321:role/Trainer"
    seen: list[tuple[str, bool, bool]] = []

    def watch(action: str, headers: Mapping[str, str], body: bytes) -> None:
        assumes = b"Action=AssumeRole" in body and quote(role, safe="").encode() in body
        seen.append((action, "X-Amz-Security-Token" in headers, assumes))

    bench.proxy.watch = watch
    bench.assume_role = role
    result = bench.work().result()
    assert result["returned"], result
    assert any(assumes for _, _, assumes in seen)
    assert all(token for action, token, assumes in seen if not assumes), seen


def test_an_exhausted_quota_waits_without_a_worker(bench: Bench) -> None:
    bench.proxy.inject("StartPipelineExecution", "quota")
    worker = bench.work()
    result = worker.result()
    assert result["error"] == "TaskDeferred"
    assert result["trigger"][0].endswith("PauseTrigger")
    assert "Service Quotas" in worker.log
    assert bench.work(try_number=1).result()["returned"]
    assert len(bench.executions()) == 1


def test_a_busy_partition_is_refused_or_waited_for(bench: Bench) -> None:
    day = "2014-02-03"
    assert bench.work(run_id="first", partition=day).result()["returned"]
    refusal = bench.work(run_id="second", partition=day, operator={"on_busy": "fail"}).result()
    assert refusal["error"] == "PartitionBusy"
    waits = bench.work(run_id="third", partition=day, operator={"on_busy": "wait"}).result()
    assert waits["error"] == "TaskDeferred"
    other = bench.work(run_id="fourth", partition="2014-02-04", operator={"on_busy": "fail"}).result()
    assert other["returned"]
    assert len(bench.executions()) == 2


def test_after_a_deferral_region_and_partition_are_those_that_were_started(bench: Bench) -> None:
    """What only the configuration names, and the process that resumes has not read."""
    bench.region, bench.seconds = None, 1
    bench.put_channels("2015-05-05")
    alone = {"deferrable": True, "config": bench.config(region="us-east-1", partition="2015-05-05")}
    deferred = bench.work(operator=alone, partition=None).result()
    assert deferred["error"] == "TaskDeferred", deferred
    arn = deferred["trigger"][1]["execution_arn"]
    assert deferred["trigger"][1]["region_name"] == "us-east-1"
    wait_until(lambda: bench.status(arn) == "Succeeded", "the end")
    event = {"event": "ended", "status": "Succeeded", "execution_arn": arn}
    ended = bench.work(operator=alone, event=event, partition=None).result()
    assert ended["returned"] == arn, ended
    assert ended["asset_partitions"] == ["2015-05-05"]
    assert ended["pushed"]["outcome"]["status"] == "Succeeded"


@pytest.mark.parametrize(("stop_on_kill", "status"), [(True, "Stopped"), (False, "Executing")])
def test_a_deferral_that_took_too_long_ends_what_nobody_waits_for(
    bench: Bench, stop_on_kill: bool, status: str
) -> None:
    alone = {"deferrable": True, "stop_on_kill": stop_on_kill}
    arn = bench.work(operator=alone).result()["trigger"][1]["execution_arn"]
    ended = bench.work(operator=alone, timed_out=True).result()
    assert ended["error"] == "TaskDeferralTimeout"
    wait_until(lambda: bench.status(arn) == status, "the stop")


def test_killed_while_it_waits_in_the_worker(bench: Bench) -> None:
    worker = bench.work(operator={"wait_for_completion": True, "poll_interval": 1})
    wait_until(bench.executions, "the execution")
    wait_until(lambda: "Execution is Executing" in worker.log, "the wait")
    begun = time.monotonic()
    worker.kill(signal.SIGTERM)
    assert worker.result()["error"] == "AirflowFailException"
    wait_until(lambda: bench.executions()[0]["PipelineExecutionStatus"] in {"Stopping", "Stopped"}, "the stop")
    assert time.monotonic() - begun < 60


def test_an_unchanged_definition_starts_with_four_calls(bench: Bench) -> None:
    assert bench.work(run_id="deploys").result()["returned"]
    before = bench.proxy.calls + bench.s3_proxy.calls
    assert bench.work(run_id="again", operator={"on_busy": "wait"}, partition="2014-05-05").result()["returned"]
    calls = bench.proxy.calls + bench.s3_proxy.calls - before
    assert calls == {
        "ListPipelineExecutions": 1, "ListObjectsV2": 1, "DescribePipeline": 1, "StartPipelineExecution": 1,
    }  # fmt: skip
