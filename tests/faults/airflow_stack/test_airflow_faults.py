"""Faults in the real Airflow: killed workers, a restarted triggerer, clears, marks and failed trainings."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.faults.airflow_stack.conftest import FAILS, Faulty

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
LONG = 600


def test_worker_killed_before_its_xcom_and_neighbour_and_start_cleared(faulty: Faulty) -> None:
    run = faulty.trigger("start_and_wait", halt=True, seconds=2, day="2013-01-01")
    sign = faulty.folder / f"pid-{run}"
    faulty.wait(sign.exists, "the worker at its halting point")
    os.kill(int(sign.read_text()), signal.SIGKILL)
    assert faulty.wait_task("start_and_wait", run, "wait", "success")
    assert faulty.task("start_and_wait", run, "start")["try_number"] == 2
    first = [e["PipelineExecutionArn"] for e in faulty.executions(run)]
    assert len(first) == 1

    outcome = faulty.airflow.xcom("start_and_wait", run, "wait")
    assert outcome["status"] == "Succeeded"
    assert outcome["execution_arn"] == first[0]
    assert outcome["metrics"]["Train Loss"] == pytest.approx(0.5)
    definition = faulty.airflow.xcom("start_and_wait", run, "start", "training_definition")
    assert definition["Steps"][0]["Name"] == "Train", "the first try's XComs are cleared: the second pushed it again"
    log = faulty.log("start_and_wait", run, "wait")
    assert "Train Loss: 1.000000" in log
    assert "Step Train: Succeeded" in log

    # a run that is cleared while the scheduler is ending it may end all the same, with its tasks waiting for ever
    def ended() -> bool:
        return bool(faulty.airflow.run("start_and_wait", run)["state"] == "success")

    faulty.wait(ended, "the run's end")
    faulty.clear("start_and_wait", run, "before", "wait")  # a neighbour: the run's clear_number rises
    faulty.wait_task("start_and_wait", run, "wait", "success")
    assert len(faulty.executions(run)) == 1

    faulty.wait(ended, "the run's end")
    faulty.clear("start_and_wait", run, "start", "wait")
    faulty.wait(lambda: len(faulty.executions(run)) == 2, "a new execution after clearing start")
    faulty.wait_task("start_and_wait", run, "wait", "success")
    assert faulty.airflow.xcom("start_and_wait", run, "wait")["execution_arn"] != first[0]


def test_a_failed_training_fails_the_sensor_for_good_and_says_why(faulty: Faulty) -> None:
    run = faulty.trigger("start_and_wait", seconds=FAILS, day="2013-01-02")
    # not by the number of tries: Airflow itself may fail a sensor whose deferral was very short, and retry it
    faulty.wait_task("start_and_wait", run, "wait", "failed")
    log = faulty.log("start_and_wait", run, "wait")
    assert "RuntimeError: the user's own fault" in log
    assert "Step 'Train' failed" in log
    assert len(faulty.executions(run)) == 1


def test_a_restarted_triggerer_stops_nothing_and_goes_on(faulty: Faulty) -> None:
    run = faulty.trigger("alone", seconds=20, day="2013-01-03")
    faulty.wait_task("alone", run, "train", "deferred")
    faulty.kill_and_restart("triggerer")
    faulty.wait_task("alone", run, "train", "success")
    assert [e["PipelineExecutionStatus"] for e in faulty.executions(run)] == ["Succeeded"]
    assert faulty.airflow.xcom("alone", run, "train", "outcome")["status"] == "Succeeded"


def test_a_triggerer_that_lost_its_trigger_to_another_one_stops_nothing(faulty: Faulty) -> None:
    """Airflow cancels the trigger in the first triggerer in the same way as if a user had marked the task."""
    run = faulty.trigger("alone", seconds=LONG, day="2013-01-10")
    waiting = re.compile(r"Execution is Executing(?! \()")  # the operator adds the ARN

    def lines() -> int:
        return len(waiting.findall(faulty.log("alone", run, "train")))

    faulty.wait_task("alone", run, "train", "deferred")
    before = faulty.wait(lines, "a line of the trigger")
    with faulty.second_triggerer():
        with faulty.suspended("triggerer"):
            faulty.wait(lambda: lines() > before, "a line of the second triggerer")
        faulty.wait(lambda: "trigger completed" in faulty.log("alone", run, "train"), "the first one's end")
        assert [e["PipelineExecutionStatus"] for e in faulty.executions(run)] == ["Executing"]
        assert faulty.task("alone", run, "train")["state"] == "deferred"
        faulty.mark("alone", run, "train", "failed")
        faulty.wait(lambda: faulty.executions(run)[0]["PipelineExecutionStatus"] == "Stopped", "the stop")


@pytest.mark.parametrize("state", ["failed", "success"])
def test_marking_the_operator_alone_stops_its_execution(faulty: Faulty, state: str) -> None:
    run = faulty.trigger("alone", seconds=LONG, day={"failed": "2013-01-04", "success": "2013-01-07"}[state])
    faulty.wait_task("alone", run, "train", "deferred")
    faulty.wait(lambda: faulty.executions(run), "the execution")
    # Airflow tells a trigger of a mark only once a triggerer runs it
    line = re.compile(r"Execution is Executing(?! \()")  # the operator adds the ARN
    faulty.wait(lambda: line.search(faulty.log("alone", run, "train")), "a line of the trigger")
    faulty.mark("alone", run, "train", state)
    faulty.wait(lambda: faulty.executions(run)[0]["PipelineExecutionStatus"] == "Stopped", "the stop")
    assert len(faulty.executions(run)) == 1


@pytest.mark.slow
def test_clearing_the_deferred_operator_stops_the_old_and_starts_anew(faulty: Faulty) -> None:
    run = faulty.trigger("alone", seconds=LONG, day="2013-01-05")
    faulty.wait_task("alone", run, "train", "deferred")
    faulty.clear("alone", run, "train")
    faulty.wait(lambda: len(faulty.executions(run)) == 2, "the new execution")
    faulty.wait(lambda: faulty.executions(run)[1]["PipelineExecutionStatus"] == "Stopped", "the old one's stop")
    assert faulty.executions(run)[0]["PipelineExecutionStatus"] == "Executing"
    faulty.mark("alone", run, "train", "failed")


def test_clearing_the_operator_while_its_worker_runs_is_a_clear(faulty: Faulty) -> None:
    """Airflow restarts the task and raises `max_tries`: the old execution is stopped, a new one trains from scratch."""
    run = faulty.trigger("in_worker", seconds=LONG, day="2013-01-08")
    faulty.wait(lambda: faulty.executions(run), "the execution")
    faulty.wait_task("in_worker", run, "train", "running")
    before = faulty.task("in_worker", run, "train")["max_tries"]
    faulty.clear("in_worker", run, "train")
    faulty.wait(lambda: len(faulty.executions(run)) == 2, "the new execution")
    assert faulty.task("in_worker", run, "train")["max_tries"] > before
    new, old = (e["PipelineExecutionArn"] for e in faulty.executions(run))
    faulty.wait(lambda: faulty.status(old) == "Stopped", "the old one's stop")
    assert faulty.status(new) == "Executing"
    assert faulty.parameters(new)["CheckpointPath"] != faulty.parameters(old)["CheckpointPath"]
    faulty.mark("in_worker", run, "train", "failed")


def test_two_that_wait_for_the_same_partition_are_not_failed_by_short_deferrals(faulty: Faulty) -> None:
    """poll_interval=2 and no retries: no deferral is shorter than what Airflow bears."""
    faulty.put_channels("2013-01-09", "in-turn")
    run = faulty.trigger("in_turn", seconds=4, day="2013-01-09")
    for number in (1, 2):
        faulty.wait_task("in_turn", run, f"train_{number}", "success", seconds=300)
    assert len(faulty.executions(run, "in-turn")) == 2


@pytest.mark.slow
def test_the_operator_alone_follows_a_failure_by_a_new_generation(faulty: Faulty) -> None:
    run = faulty.trigger("alone", seconds=FAILS, day="2013-01-06")
    faulty.wait_task("alone", run, "train", "failed")
    assert len(faulty.executions(run)) == 3, "one per try: retries=2"
