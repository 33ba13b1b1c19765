"""A stop is one when Describe says so: conflicts and faults around it, wherever a stop is asked for."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.faults.airflow.conftest import Bench
from tests.support.waiting import wait_until

ALONE = {"wait_for_completion": True, "poll_interval": 1}
ENDING = {"Stopping", "Stopped"}


def killed_while_it_waits(bench: Bench) -> Any:
    worker = bench.work(operator=ALONE)
    wait_until(lambda: "Execution is Executing" in worker.log, "the wait")
    return worker


@pytest.mark.parametrize("fault", ["conflict", "throttle", "error500", "reset", "html407", "lose_reply"])
def test_a_stop_from_on_kill_is_repeated_until_it_is_one(bench: Bench, fault: str) -> None:
    worker = killed_while_it_waits(bench)
    bench.proxy.inject("StopPipelineExecution", fault)
    worker.kill(signal.SIGTERM)
    assert worker.result()["error"] == "AirflowFailException"
    assert bench.executions()[0]["PipelineExecutionStatus"] in ENDING
    assert "is Stopping" in worker.log or "is Stopped" in worker.log


def test_what_could_not_be_stopped_in_time_is_said_and_not_called_stopped(bench: Bench) -> None:
    worker = killed_while_it_waits(bench)
    bench.proxy.inject("StopPipelineExecution", "conflict", times=99)
    worker.kill(signal.SIGTERM)
    worker.result()
    assert bench.executions()[0]["PipelineExecutionStatus"] == "Executing"
    assert "could not be confirmed as stopping (conflict: ConflictException" in worker.log
    assert "orphans --stop" in worker.log
    assert not any(f"is {status}" in worker.log for status in ENDING)


def test_no_answer_at_all_is_said_too(bench: Bench) -> None:
    worker = killed_while_it_waits(bench)
    held = bench.proxy.inject("StopPipelineExecution", "hold_request")
    worker.kill(signal.SIGTERM)
    wait_until(lambda: "Could not confirm that the execution stops" in worker.log, "the line")
    held.release()


@pytest.mark.parametrize("fault", [None, "conflict", "html407"])
def test_a_start_that_is_killed_stops_what_it_started(bench: Bench, fault: str | None) -> None:
    assert bench.work(run_id="deploys").result()["returned"]
    held = bench.proxy.inject("StartPipelineExecution", "hold_reply")
    if fault:
        bench.proxy.inject("StopPipelineExecution", fault, times=2)
    worker = bench.work(run_id="killed")
    wait_until(held.forwarded.is_set, "the start call's reply")
    worker.kill(signal.SIGTERM)
    wait_until(lambda: "SIGTERM" in worker.log, "the signal")
    held.release()
    result = worker.result()
    assert result["error"] == "AirflowFailException"
    assert bench.executions()[0]["PipelineExecutionStatus"] in ENDING, worker.log
    assert "is Stopp" in result["message"]


def test_a_start_that_is_killed_and_gets_no_answer_is_repeated_only_to_be_stopped(bench: Bench) -> None:
    """The reply never comes: on_kill sends the same request under the same token, and stops what it answers."""
    assert bench.work(run_id="deploys").result()["returned"]
    held = bench.proxy.inject("StartPipelineExecution", "hold_reply")
    worker = bench.work(run_id="killed")
    wait_until(held.forwarded.is_set, "the start call's reply")
    worker.kill(signal.SIGTERM)
    wait_until(lambda: bench.executions()[0]["PipelineExecutionStatus"] in ENDING, "the stop")
    worker.kill()
    held.release()
    assert len(bench.executions()) == 2


@pytest.mark.parametrize("held_at", ["hold_request", "hold_reply"])
@pytest.mark.parametrize("retries", [0, 2])
def test_execution_timeout_while_the_start_call_is_under_way(bench: Bench, held_at: str, retries: int) -> None:
    assert bench.work(run_id="deploys").result()["returned"]
    held = bench.proxy.inject("StartPipelineExecution", held_at)
    worker = bench.work(run_id="slow", execution_timeout=8, operator={"retries": retries})
    assert worker.result()["error"] == "AirflowTaskTimeout", worker.result()
    held.release()
    if held_at == "hold_request":
        wait_until(held.forwarded.is_set, "the late request")
    assert len(bench.executions()) == 2
    assert bench.executions()[0]["PipelineExecutionStatus"] in ENDING, worker.log


@pytest.mark.parametrize("fault", ["conflict", "throttle", "reset", "html404"])
def test_the_execution_of_before_a_clear_is_ended_first(bench: Bench, fault: str) -> None:
    first = bench.work(max_tries=1).result()["returned"]
    bench.proxy.inject("StopPipelineExecution", fault)
    second = bench.work(max_tries=2, try_number=2).result()["returned"]
    assert (bench.status(first), bench.status(second)) == ("Stopped", "Executing")


def test_a_clear_waits_without_a_worker_for_an_execution_that_does_not_stop(bench: Bench) -> None:
    first = bench.work(max_tries=1).result()["returned"]
    conflict = bench.proxy.inject("StopPipelineExecution", "conflict", times=999)
    waits = bench.work(max_tries=2, try_number=2).result()
    assert waits["error"] == "TaskDeferred", waits
    assert waits["trigger"][0].endswith("PauseTrigger")
    assert bench.status(first) == "Executing"
    assert len(bench.executions()) == 1
    conflict.times = 0
    second = bench.work(max_tries=2, try_number=2).result()["returned"]
    assert (bench.status(first), bench.status(second)) == ("Stopped", "Executing")


def test_a_role_that_may_not_stop_is_said_at_once_and_nothing_new_starts(bench: Bench) -> None:
    bench.work(max_tries=1).result()
    bench.proxy.inject("StopPipelineExecution", "denied", times=999)
    result = bench.work(max_tries=2, try_number=2).result()
    assert result["error"] == "NotStopped"
    assert "denied: AccessDeniedException" in result["message"]
    assert len(bench.executions()) == 1


@pytest.mark.parametrize("fault", ["conflict", "error500"])
def test_a_sensors_stop_is_repeated(bench: Bench, fault: str) -> None:
    arn = bench.work().result()["returned"]
    bench.proxy.inject("StopPipelineExecution", fault)
    sensor = {"execution_arn": arn, "deferrable": False, "poke_interval": 1, "timeout": 1, "stop_on_timeout": True}
    worker = bench.work(sensor=sensor)
    assert worker.result()["error"] == "AirflowSensorTimeout"
    assert bench.status(arn) in ENDING
    assert f"Timeout: execution {arn} is Stopp" in worker.log


def test_a_deferral_that_took_too_long_ends_its_execution_through_a_conflict(bench: Bench) -> None:
    alone = {"deferrable": True}
    arn = bench.work(operator=alone).result()["trigger"][1]["execution_arn"]
    bench.proxy.inject("StopPipelineExecution", "conflict", times=2)
    assert bench.work(operator=alone, timed_out=True).result()["error"] == "TaskDeferralTimeout"
    assert bench.status(arn) in ENDING
