"""What follows the end of an execution, whoever ended it, and what a killed or timed-out sensor leaves running."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.faults.airflow.conftest import Bench
from tests.support.samples import FAILS
from tests.support.waiting import wait_until

ALONE = {"wait_for_completion": True, "poll_interval": 1}


def failing(bench: Bench, **operator: Any) -> dict[str, Any]:
    config = bench.config(hyperparameters={**bench.config()["hyperparameters"], "epochs": FAILS})
    return {**ALONE, "config": config, **operator}


def attempts(bench: Bench, arn: str) -> int:
    steps = bench.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return int(steps[0]["AttemptCount"])


def test_resume_runs_the_failed_steps_again_under_the_same_arn(bench: Bench) -> None:
    operator = failing(bench, on_failure="resume")
    first = bench.work(operator=operator).result()
    assert first["error"] == "ExecutionFailed"
    assert "the user's own fault" in first["message"]
    second = bench.work(operator=operator, try_number=2)
    wait_until(lambda: "Execution is Executing" in second.log, "the resumed execution")
    second.kill()
    # the third try finds the execution that the killed one resumed, and does not resume it a second time
    third = bench.work(operator=operator, try_number=3).result()
    assert third["error"] == "ExecutionFailed"
    assert len(bench.executions()) == 1
    assert "Rerunning the failed steps" in second.log


def test_restart_follows_a_failure_by_one_new_generation(bench: Bench) -> None:
    operator = failing(bench)
    assert bench.work(operator=operator).result()["error"] == "ExecutionFailed"
    retry = bench.work(operator=operator, try_number=2, halt="after_arn")
    retry.kill_at("after_arn")
    assert bench.work(operator=operator, try_number=3).result()["error"] == "ExecutionFailed"
    assert len(bench.executions()) == 2


def test_a_stop_by_hand_fails_the_operator_alone_for_good(bench: Bench) -> None:
    worker = bench.work(operator=ALONE)
    wait_until(lambda: "Execution is Executing" in worker.log, "the wait")
    bench.stop(bench.executions()[0]["PipelineExecutionArn"])
    assert worker.result()["error"] == "AirflowFailException"
    assert len(bench.executions()) == 1


def test_a_stop_by_hand_is_followed_when_the_start_task_is_retried(bench: Bench) -> None:
    first = bench.work().result()["returned"]
    bench.stop(first)
    second = bench.work(try_number=2).result()["returned"]
    assert second != first
    assert len(bench.executions()) == 2


@pytest.mark.parametrize(("seconds", "status"), [(1, "Succeeded"), (FAILS, "Failed")])
def test_a_start_task_retried_after_the_end_goes_on_with_it(bench: Bench, seconds: int, status: str) -> None:
    bench.seconds = seconds
    bench.work(halt="before_xcom").kill_at("before_xcom")
    arn = bench.executions()[0]["PipelineExecutionArn"]
    wait_until(lambda: bench.status(arn) == status, "the end")
    assert bench.work(try_number=2).result()["returned"] == arn
    assert len(bench.executions()) == 1


def test_a_worker_killed_while_it_waits_is_followed_by_one_that_waits_on(bench: Bench) -> None:
    worker = bench.work(operator=ALONE)
    wait_until(lambda: "Execution is Executing" in worker.log, "the wait")
    worker.kill()
    second = bench.work(operator=ALONE, try_number=2)
    wait_until(lambda: "Execution is Executing" in second.log, "the second worker's wait")
    assert [e["PipelineExecutionStatus"] for e in bench.executions()] == ["Executing"]


def test_cleared_while_its_worker_runs_it_goes_on_from_the_checkpoints_of_the_old_one(bench: Bench) -> None:
    worker = bench.work(operator=ALONE)
    wait_until(lambda: "Execution is Executing" in worker.log, "the wait")
    worker.kill(signal.SIGTERM)  # what Airflow does to the worker; `max_tries` stays
    assert worker.result()["error"] == "AirflowFailException"
    second = bench.work(operator=ALONE, try_number=2)
    wait_until(lambda: "Execution is Executing" in second.log, "the new execution")
    new, old = (e["PipelineExecutionArn"] for e in bench.executions())
    assert (bench.status(old), bench.status(new)) == ("Stopped", "Executing")
    assert bench.parameters(old)["CheckpointPath"] == bench.parameters(new)["CheckpointPath"]


def test_a_deleted_execution_is_said_and_nothing_new_starts(bench: Bench) -> None:
    config = bench.config(
        pipeline_name=f"{bench.name}-gone", input_path=f"s3://{bench.shop.bucket}/{bench.name}/input/2013-07-04"
    )
    operator = {"config": config}
    arn = bench.work(operator=operator).result()["returned"]
    bench.stop(arn)
    bench.sagemaker.delete_pipeline(PipelineName=config["pipeline_name"], ClientRequestToken="d" * 32)
    retry = bench.work(operator=operator, try_number=2).result()
    assert retry["error"] == "AirflowFailException"
    assert "it may have been deleted; clear the task to start a new training" in retry["message"]
    waits = bench.work(sensor={"execution_arn": arn}).result()
    assert waits["error"] == "AirflowFailException"
    assert arn in waits["message"]
    with pytest.raises(bench.sagemaker.exceptions.ResourceNotFound):
        bench.sagemaker.list_pipeline_executions(PipelineName=config["pipeline_name"])


@pytest.mark.parametrize(("stop_on_kill", "statuses"), [(True, {"Stopping", "Stopped"}), (False, {"Executing"})])
def test_a_killed_sensor_stops_only_when_asked(bench: Bench, stop_on_kill: bool, statuses: set[str]) -> None:
    arn = bench.work().result()["returned"]
    sensor = {"execution_arn": arn, "deferrable": False, "poke_interval": 1, "stop_on_kill": stop_on_kill}
    worker = bench.work(sensor=sensor)
    wait_until(lambda: "is Executing" in worker.log, "the wait")
    worker.kill(signal.SIGTERM)
    wait_until(lambda: "on_kill has returned" in worker.log, "the signal's handler")
    assert bench.status(arn) in statuses
    worker.kill()
    assert len(bench.executions()) == 1


@pytest.mark.parametrize("soft_fail", [False, True])
@pytest.mark.parametrize(("stop_on_timeout", "statuses"), [(True, {"Stopping", "Stopped"}), (False, {"Executing"})])
def test_a_timeout_stops_only_when_asked(
    bench: Bench, stop_on_timeout: bool, statuses: set[str], soft_fail: bool
) -> None:
    arn = bench.work().result()["returned"]
    sensor = {
        "execution_arn": arn, "deferrable": False, "poke_interval": 1, "timeout": 1, "soft_fail": soft_fail,
        "stop_on_timeout": stop_on_timeout,
    }  # fmt: skip
    result = bench.work(sensor=sensor).result()
    assert result["error"] == ("AirflowSkipException" if soft_fail else "AirflowSensorTimeout")
    assert bench.status(arn) in statuses


@pytest.mark.parametrize(("soft_fail", "error"), [(False, "AirflowFailException"), (True, "AirflowSkipException")])
def test_a_poking_sensor_explains_a_failure_and_goes_on_telling_where_it_was(
    bench: Bench, soft_fail: bool, error: str
) -> None:
    config = failing(bench)["config"]
    arn = bench.work(operator={"config": config}).result()["returned"]
    sensor = {
        "execution_arn": arn,
        "deferrable": False,
        "poke_interval": 0.5,
        "progress": "logs",
        "soft_fail": soft_fail,
    }
    first = bench.work(sensor=sensor)
    wait_until(lambda: "Train Loss: 1.000000" in first.log, "the first epoch")
    first.kill()
    second = bench.work(sensor=sensor)
    result = second.result()
    assert result["error"] == error
    for part in ("Step 'Train' failed", "RuntimeError: the user's own fault", "See http://"):
        assert part in result["message"]
    told = first.log + second.log
    assert all(f"Train Loss: {1 / (epoch + 1):.6f}" in told for epoch in range(FAILS))


@pytest.mark.parametrize(
    ("arn", "said"),
    [
        ("None", "is not the ARN of a pipeline execution"),
        ("arn:aws:sagemaker:us-east-1:1:pipeline/p", "is not the ARN of a pipeline execution"),
        ("arn:aws:sagemaker:eu-west-1:123456789012:pipeline/p/execution/abcdefghijkl", "was not found"),
        ("arn:aws:sagemaker:us-east-1:210987654321:pipeline/p/execution/abcdefghijkl", "was not found"),
    ],
)
def test_an_arn_that_cannot_be_waited_for_fails_at_once(bench: Bench, arn: str, said: str) -> None:
    result = bench.work(sensor={"execution_arn": arn}).result()
    assert result["error"] == "AirflowFailException"
    assert said in result["message"]


def test_the_sensors_region_is_the_executions(bench: Bench) -> None:
    """The region stands in the configuration alone, and no other place names one."""
    bench.region = None
    arn = bench.work(operator={"config": bench.config(region="us-east-1")}).result()["returned"]
    waits = bench.work(sensor={"execution_arn": arn}).result()
    assert waits["error"] == "TaskDeferred", waits
    assert waits["trigger"][1]["region_name"] == "us-east-1"
    other = bench.work(sensor={"execution_arn": arn, "region_name": "eu-west-1"}).result()
    assert "this task's region_name is eu-west-1; remove it" in other["message"]
