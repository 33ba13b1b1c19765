"""kill -9 at every committed transition: no execution is lost, doubled or left in limbo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError

from tests.support.waiting import wait_until

from .conftest import Server, processes_of
from .pipelines import create, create_training, start, steps, wait_end, wait_training
from .scenarios import FUNCTION, SCENARIOS, Scenario, with_function

STRIDES = {"trigger": 5, "tune": 5}
"""Scenarios of many commits, of which the slow test takes every fifth and the soak all."""


def survive(serve: Callable[..., Server], data_dir: Path, scenario: Scenario, *numbers: int) -> int:
    """Crash each server after its so-manieth commit, play the scenario to its end on one that lives, and look.

    How many of the servers crashed: a number beyond the scenario's commits crashes none.
    """
    crashed = 0
    for number in numbers:
        server = serve(data_dir, number, *scenario.options(data_dir))
        if server.is_ready and plays(server, scenario):
            server.stop()
            break
        crashed += 1
    last = serve(data_dir, None, *scenario.options(data_dir))
    scenario.play(last)
    scenario.check(last)
    last.stop()
    assert processes_of(data_dir) == []
    return crashed


def plays(server: Server, scenario: Scenario) -> bool:
    """Whether the server lived to the end of the scenario."""
    try:
        scenario.play(server)
        return True
    except (BotoCoreError, KeyError):
        # KeyError: botocore takes an answer that was cut off right behind its headers for an empty one
        server.process.wait(timeout=30)
        return False


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("train", [4, 9]),
        ("stop", [9, 3]),
        ("retry", [17, 4]),
        ("versions", [6, 4, 3]),
        ("work", [8, 10]),
        ("ask", [5, 3, 3]),
        ("call", [5, 2]),
        ("trigger", [7]),
        ("tune", [9, 7]),
    ],
)
def test_kill_after_a_commit(serve: Callable[..., Server], tmp_path: Path, name: str, numbers: list[int]) -> None:
    assert survive(serve, tmp_path / "data", SCENARIOS[name], *numbers) == len(numbers)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_kill_after_every_commit(serve: Callable[..., Server], tmp_path: Path, name: str) -> None:
    assert crash_at_every(serve, tmp_path, name, STRIDES.get(name, 1)) > 10


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(STRIDES))
def test_kill_after_every_single_commit(serve: Callable[..., Server], tmp_path: Path, name: str) -> None:
    assert crash_at_every(serve, tmp_path, name, 1) > 10


def crash_at_every(serve: Callable[..., Server], tmp_path: Path, name: str, stride: int) -> int:
    """The first number that the server does not reach any more: then these were all of the scenario's commits."""
    number = 1
    while survive(serve, tmp_path / f"data-{number}", SCENARIOS[name], number):
        number += stride
    return number


def test_job_of_a_killed_server_fails_with_a_reason_and_leaves_no_process(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    first = serve()
    create_training(first, "echo up; sleep 300", retried=False)
    arn = start(first)
    wait_training(first, arn)
    first.kill()
    second = serve()
    assert wait_end(second, arn)["PipelineExecutionStatus"] == "Failed"
    step = second.client("sagemaker").list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"][
        0
    ]
    assert "the local SageMaker server ended while this job was running" in step["FailureReason"]
    assert processes_of(first.data_dir / "jobs") == []


def test_stop_that_was_answered_survives_the_kill(serve: Callable[..., Server]) -> None:
    first = serve()
    create_training(first, "trap '' TERM; echo up; sleep 300 & wait; sleep 300")
    arn = start(first)
    wait_training(first, arn)
    first.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=arn)
    first.kill()
    second = serve()
    assert wait_end(second, arn)["PipelineExecutionStatus"] == "Stopped"
    jobs = second.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert [item["TrainingJobStatus"] for item in jobs] == ["Stopped"]


def test_function_that_had_begun_is_called_again_only_by_a_retry(serve: Callable[..., Server], tmp_path: Path) -> None:
    calls, options = tmp_path / "calls", with_function(tmp_path)
    arguments = {"file": str(calls), "seconds": 600}
    step = {"Name": "Call", "Type": "Lambda", "FunctionArn": FUNCTION, "Arguments": arguments}
    first = serve(None, None, *options)
    create(first, step)
    arn = start(first)
    wait_until(calls.exists, "the function's call")
    first.kill()
    second = serve(None, None, *options)
    assert wait_end(second, arn)["PipelineExecutionStatus"] == "Failed"
    assert (
        "the local SageMaker server ended while the function was running" in steps(second, arn)["Call"]["FailureReason"]
    )
    assert len(calls.read_text().split()) == 1
    second.client("sagemaker").retry_pipeline_execution(PipelineExecutionArn=arn)
    wait_until(lambda: len(calls.read_text().split()) == 2, "the retry's call")


def test_logs_outlive_the_server(serve: Callable[..., Server]) -> None:
    first = serve()
    logs = first.client("logs")
    logs.create_log_group(logGroupName="/kept")
    logs.create_log_stream(logGroupName="/kept", logStreamName="s")
    logs.put_log_events(logGroupName="/kept", logStreamName="s", logEvents=[{"timestamp": 1, "message": "line"}])
    first.kill()
    found = serve().client("logs").get_log_events(logGroupName="/kept", logStreamName="s")["events"]
    assert [event["message"] for event in found] == ["line"]
