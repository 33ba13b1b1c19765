"""One execution per task run: workers killed at every point around the start call, and replies that are lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.airflow.conftest import Bench
from tests.support.fault_proxy import Fault
from tests.support.waiting import wait_until


@pytest.mark.parametrize("point", ["before_record", "after_record", "before_arn", "after_arn", "before_xcom"])
def test_worker_killed_around_the_start(bench: Bench, point: str) -> None:
    bench.work(halt=point).kill_at(point)
    before = {e["PipelineExecutionArn"] for e in bench.executions()}
    assert len(before) == (0 if point in {"before_record", "after_record"} else 1)
    retried = bench.work(try_number=2).result()
    after = [e["PipelineExecutionArn"] for e in bench.executions()]
    assert after == [retried["returned"]]
    assert before <= set(after)
    assert retried["pushed"]["training_pipeline"]["partition"] == "2013-07-04"
    assert retried["pushed"]["training_definition"]["Steps"][0]["Name"] == "Train"


def killed_in_flight(bench: Bench) -> Fault:
    """A worker has died whose start call is still on its way, until the fault is released."""
    held = bench.proxy.inject("StartPipelineExecution", "hold_request")
    worker = bench.work()
    wait_until(held.reached.is_set, "the start call")
    worker.kill()
    return held


def arrive(held: Fault) -> None:
    held.release()
    wait_until(held.forwarded.is_set, "the late request")


def test_worker_killed_before_the_server_sees_the_start(bench: Bench) -> None:
    assert bench.work(run_id="deploys").result()["returned"]
    held = killed_in_flight(bench)
    # The dead worker's request is still on its way and arrives after the retry has looked: the token decides.
    retry = bench.work(try_number=2)
    result = retry.result()
    arrive(held)
    assert len(bench.executions()) == 2
    assert bench.executions()[0]["PipelineExecutionArn"] == result["returned"]


def changed(bench: Bench) -> dict[str, Any]:
    """The operator after an edit between two tries that gives another digest and another parameter."""
    hyperparameters = {**bench.config()["hyperparameters"], "seed": 7}
    return {"config": bench.config(training_volume_size=31, hyperparameters=hyperparameters)}


def test_a_definition_that_changed_while_a_dead_workers_request_is_on_its_way_starts_once(bench: Bench) -> None:
    old = bench.work(run_id="deploys").result()["pushed"]["training_pipeline"]
    held = killed_in_flight(bench)
    result = bench.work(try_number=2, operator=changed(bench)).result()
    arrive(held)
    assert len(bench.executions()) == 2
    assert bench.executions()[0]["PipelineExecutionArn"] == result["returned"]
    new = result["pushed"]["training_pipeline"]
    assert new["digest"] != old["digest"]
    assert new["parameters"]["HyperparameterSeed"] == "7"
    assert bench.parameters(result["returned"]) == new["parameters"]


@pytest.mark.parametrize("service", ["hold_request", "hold_repeat"])
def test_a_dead_workers_request_that_overtakes_a_changed_one_is_gone_on_with(bench: Bench, service: str) -> None:
    """Whether the service refuses another request under a used token (`hold_request`) or gives the first's answer."""
    old = bench.work(run_id="deploys").result()["pushed"]
    assert bench.work(run_id="deploys too", operator=changed(bench)).result()["returned"]
    first = killed_in_flight(bench)
    second = bench.proxy.inject("StartPipelineExecution", service)
    retry = bench.work(try_number=2, operator=changed(bench))
    wait_until(second.reached.is_set, "the retry's start call")
    arrive(first)
    second.release()
    result = retry.result()
    assert len(bench.executions()) == 3
    assert bench.executions()[0]["PipelineExecutionArn"] == result["returned"]
    details = result["pushed"]["training_pipeline"]
    assert details["digest"] == old["training_pipeline"]["digest"]
    assert details["parameters"]["HyperparameterSeed"] == "0"
    assert result["pushed"]["training_definition"] == old["training_definition"]
    assert "which an earlier try requested" in retry.log


def test_a_dead_workers_request_that_arrives_after_a_clear_starts_nothing(bench: Bench) -> None:
    assert bench.work(run_id="deploys").result()["returned"]
    held = killed_in_flight(bench)
    cleared = bench.work(max_tries=2, try_number=2).result()
    arrive(held)
    assert [e["PipelineExecutionArn"] for e in bench.executions()[:-1]] == [cleared["returned"]]
    assert bench.status(cleared["returned"]) == "Executing"
    assert bench.parameters(cleared["returned"]) == cleared["pushed"]["training_pipeline"]["parameters"]


@pytest.mark.parametrize("service", ["hold_request", "hold_repeat"])
@pytest.mark.parametrize("dies_too", [False, True])
def test_a_dead_workers_request_that_overtakes_the_cleared_tasks_own_is_stopped(
    bench: Bench, service: str, dies_too: bool
) -> None:
    """The cleared task trains from scratch all the same, also when its worker dies before it has looked."""
    assert bench.work(run_id="deploys").result()["returned"]
    held = killed_in_flight(bench)
    second = bench.proxy.inject("StartPipelineExecution", service)
    cleared = bench.work(max_tries=2, try_number=2, halt="before_arn" if dies_too else "")
    wait_until(second.reached.is_set, "the cleared task's start call")
    arrive(held)
    second.release()
    if dies_too:
        cleared.kill_at("before_arn")
        cleared = bench.work(max_tries=2, try_number=3)
    arn = cleared.result()["returned"]
    new, old = (e["PipelineExecutionArn"] for e in bench.executions()[:-1])
    assert new == arn, cleared.log
    assert (bench.status(new), bench.status(old)) == ("Executing", "Stopped")
    assert bench.parameters(new)["CheckpointPath"] != bench.parameters(old)["CheckpointPath"]


@pytest.mark.parametrize("cleared", [False, True])
def test_a_dead_workers_request_to_a_pipeline_that_was_renamed_since_starts_nothing_later(
    bench: Bench, cleared: bool
) -> None:
    assert bench.work(run_id="deploys").result()["returned"]
    held = killed_in_flight(bench)
    name = f"{bench.name}-{bench.dag_id}"
    inputs = f"s3://{bench.shop.bucket}/{bench.name}/input/2013-07-04"
    renamed = {"config": bench.config(pipeline_name=name, input_path=inputs)}
    retry = bench.work(max_tries=2 if cleared else 1, try_number=2, operator=renamed)
    arn = retry.result()["returned"]
    arrive(held)
    old = [e["PipelineExecutionArn"] for e in bench.executions()[:-1]]
    assert len(old) == 1
    if cleared:
        assert bench.status(old[0]) == "Stopped"
        assert f"pipeline/{name}/".lower() in arn.lower()
        bench.stop(arn)
    else:
        assert arn == old[0], "the run goes on with what it asked for first"
        assert retry.result()["pushed"]["training_pipeline"]["pipeline_name"] == bench.name
    assert "repeating it" in retry.log


def test_a_start_that_was_refused_is_not_repeated_to_the_old_name(bench: Bench) -> None:
    assert bench.work(run_id="deploys").result()["returned"]
    bench.proxy.inject("StartPipelineExecution", "quota")
    assert bench.work().result()["error"] == "TaskDeferred"
    name = f"{bench.name}-{bench.dag_id}"
    inputs = f"s3://{bench.shop.bucket}/{bench.name}/input/2013-07-04"
    renamed = bench.work(operator={"config": bench.config(pipeline_name=name, input_path=inputs)}).result()
    assert f"pipeline/{name}/".lower() in renamed["returned"].lower()
    assert len(bench.executions()) == 1
    bench.stop(renamed["returned"])


def test_worker_killed_after_the_server_acted(bench: Bench) -> None:
    assert bench.work(run_id="deploys").result()["returned"]
    held = bench.proxy.inject("StartPipelineExecution", "hold_reply")
    worker = bench.work()
    wait_until(held.forwarded.is_set, "the start call's reply")
    worker.kill()
    result = bench.work(try_number=2).result()
    assert len(bench.executions()) == 2
    assert bench.executions()[0]["PipelineExecutionArn"] == result["returned"]


@pytest.mark.parametrize("fault", ["lose_reply", "cut_reply"])
def test_reply_lost_after_the_server_acted(bench: Bench, fault: str) -> None:
    assert bench.work(run_id="deploys").result()["returned"]
    bench.proxy.inject("StartPipelineExecution", fault, times=2)
    worker = bench.work(run_id="loses")
    result = worker.result()
    assert result["returned"], result
    assert len(bench.executions()) == 2
    assert "unavailable" in worker.log


def test_a_list_whose_reply_was_cut_is_not_taken_for_an_empty_one(bench: Bench) -> None:
    first = bench.work(run_id="first").result()["returned"]
    bench.proxy.inject("ListPipelineExecutions", "cut_reply")
    second = bench.work(run_id="second", operator={"on_busy": "fail"}).result()
    assert second["error"] == "PartitionBusy", second
    assert first in second["message"]


def test_clear_trains_anew_and_ends_the_old_execution(bench: Bench) -> None:
    first = bench.work(max_tries=1).result()["returned"]
    cleared = bench.work(max_tries=2, try_number=2).result()["returned"]
    assert cleared != first
    assert bench.status(first) == "Stopped"
    assert bench.status(cleared) == "Executing"
    assert bench.parameters(first)["CheckpointPath"] != bench.parameters(cleared)["CheckpointPath"]


def test_two_mapped_tasks_of_one_run_start_one_each(bench: Bench) -> None:
    workers = [bench.work(map_index=index, partition=f"2013-07-0{index + 1}") for index in range(2)]
    arns = {worker.result()["returned"] for worker in workers}
    assert len(arns) == 2
    assert len(bench.executions()) == 2
