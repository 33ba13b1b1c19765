"""The trigger and its shared poller in an event loop of this process, against the local SageMaker."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.executions import Executions, Status
from airflow_sagemaker.aws.outcome import explain_failure, read_outcome
from airflow_sagemaker.aws.stopping import stop_execution
from airflow_sagemaker.triggers import SageMakerTrainingPipelineTrigger
from airflow_sagemaker.wait.progress_report import ProgressReport
from airflow_sagemaker.wait.shared_poller import SharedPoller
from tests.support.fault_proxy import FaultProxy
from tests.support.pipelines import TARGET, WAITS, Pipelines
from tests.support.samples import connection_of
from tests.support.waiting import wait_until


def trigger_for(arn: str, **options: Any) -> SageMakerTrainingPipelineTrigger:
    return SageMakerTrainingPipelineTrigger(arn, **{**TARGET.as_dict(), "poll_interval": 0.5, "shortest": 0, **options})


async def fired(trigger: SageMakerTrainingPipelineTrigger) -> dict[str, Any]:
    return dict((await anext(trigger.run())).payload)


def test_the_trigger_fires_once_the_execution_has_ended(pipelines: Pipelines) -> None:
    arn = pipelines.start(pipelines.deployed("echo 'Train Loss: 0.25'; sleep 1"))
    event = asyncio.run(fired(trigger_for(arn, progress="logs")))
    assert (event["event"], event["status"], event["execution_arn"]) == ("ended", "Succeeded", arn)

    executions = pipelines.executions
    rest = ProgressReport.continued("logs", event["told"]).new_lines(executions, arn, to_the_end=True)
    before = event["told"].get("steps", {})
    assert before or any("Step Train" in text for _, text in rest)
    outcome = read_outcome(executions, executions.describe(arn))
    assert outcome.metrics == {"Train Loss": 0.25}
    assert outcome.billable_seconds is not None
    assert [step["name"] for step in outcome.steps] == ["Train"]


def test_a_report_with_numbers_that_json_does_not_have_can_be_an_xcom(pipelines: Pipelines) -> None:
    written = '{"metrics": {"Validation Loss": NaN}, "history": [{"epoch": 1, "loss": Infinity}]}'
    arn = pipelines.start(pipelines.deployed(f"echo '{written}' > /opt/ml/output/data/report.json"))
    assert asyncio.run(fired(trigger_for(arn)))["status"] == "Succeeded"
    outcome = read_outcome(pipelines.executions, pipelines.executions.describe(arn))
    stored = json.loads(json.dumps(outcome.as_dict(), allow_nan=False))  # as Airflow's client sends an XCom
    assert stored["report"] == {"metrics": {"Validation Loss": None}, "history": [{"epoch": 1, "loss": None}]}


def test_a_failure_is_explained_with_the_users_own_words(pipelines: Pipelines) -> None:
    arn = pipelines.start(pipelines.deployed("echo 'Traceback (most recent call last):'; echo 'KeyError: x'; exit 1"))
    assert asyncio.run(fired(trigger_for(arn)))["status"] == "Failed"
    text = str(explain_failure(pipelines.executions, pipelines.executions.describe(arn), "http://there"))
    assert "Step 'Train' failed" in text
    assert "KeyError: x" in text
    reason = text[text.index("See http://there") :]
    assert "Step 'Train' failed" in reason  # the last thing that a reader sees
    assert "KeyError: x" in reason


def test_no_line_is_missed_or_repeated_when_the_worker_continues(pipelines: Pipelines) -> None:
    arn = pipelines.start(pipelines.deployed("for i in $(seq 1 40); do echo line-$i; sleep 0.1; done"))
    executions, report = pipelines.executions, ProgressReport("logs")
    lines: list[str] = []
    while executions.describe(arn).live:
        lines += [text for _, text in report.new_lines(executions, arn)]
        report = ProgressReport.continued("logs", report.position())
        time.sleep(0.3)
    lines += [
        text
        for _, text in ProgressReport.continued("logs", report.position()).new_lines(executions, arn, to_the_end=True)
    ]
    numbers = [text.rpartition("line-")[2] for text in lines if "line-" in text]
    assert numbers == [str(number) for number in range(1, 41)]


def test_a_position_stays_what_it_was_while_the_report_continues(pipelines: Pipelines) -> None:
    """A trigger hands the position over while a thread may be asking for more, which nobody logs any longer."""
    arn = pipelines.start(pipelines.deployed("echo first; sleep 2; echo second"))
    executions, report = pipelines.executions, ProgressReport("logs")
    wait_until(lambda: any("first" in text for _, text in report.new_lines(executions, arn)), "the first line")
    position = report.position()
    wait_until(lambda: not executions.describe(arn).live, "the end")
    report.new_lines(executions, arn, to_the_end=True)
    rest = [text for _, text in ProgressReport.continued("logs", position).new_lines(executions, arn, to_the_end=True)]
    assert any("second" in text for text in rest)
    assert any("Step Train: Succeeded" in text for text in rest)
    assert not any("first" in text for text in rest)


@pytest.mark.parametrize("action", ["DescribeLogStreams", "GetLogEvents"])
def test_lines_that_a_fault_kept_back_come_later(pipelines: Pipelines, polled: FaultProxy, action: str) -> None:
    arn = pipelines.start(pipelines.deployed("echo line-1"))
    wait_until(lambda: not pipelines.executions.describe(arn).live, "the end")
    target = AwsTarget("polled")
    target.forget()  # another test's proxy
    executions, report = Executions(Aws(target, patience=0)), ProgressReport("logs")
    polled.inject(action, "throttle")
    with pytest.raises(ClientError, match="Rate exceeded"):
        report.new_lines(executions, arn)
    texts = [text for _, text in report.new_lines(executions, arn)]
    assert texts[0].startswith("Step Train: Succeeded")
    assert texts[1].endswith("line-1")


def test_many_waiters_cost_one_list_per_round(pipelines: Pipelines) -> None:
    made = pipelines.deployed(WAITS)
    arns = [pipelines.start(made) for _ in range(20)]

    async def wait_and_count() -> tuple[int, list[dict[str, Any]]]:
        tasks = [asyncio.create_task(fired(trigger_for(arn, progress="status"))) for arn in arns]
        await asyncio.sleep(1)
        poller = SharedPoller.of(TARGET)
        calls: list[str] = []
        original = poller._aws.call

        def counted(service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
            calls.append(operation)
            return original(service, operation, **arguments)

        poller._aws.call = counted  # type: ignore[method-assign]
        await asyncio.sleep(3)
        for arn in reversed(arns):  # those that wait for a slot first: none begins that could miss its SIGTERM
            await poller.in_thread(stop_execution, pipelines.executions, arn)
        seen = len(calls)
        return seen, await asyncio.gather(*tasks)

    seen, events = asyncio.run(wait_and_count())
    assert {event["status"] for event in events} == {Status.STOPPED.value}
    assert seen <= 10, "about one ListPipelineExecutions per round, not one call per waiter"


def test_the_event_loop_is_never_blocked(pipelines: Pipelines) -> None:
    made = pipelines.deployed(WAITS)
    arns = [pipelines.start(made) for _ in range(5)]

    async def longest_pause() -> float:
        tasks = [asyncio.create_task(fired(trigger_for(arn))) for arn in arns]
        worst, last = 0.0, time.thread_time()
        for _ in range(100):
            await asyncio.sleep(0.02)
            # What the loop's own thread computes between two turns; waiting for a busy machine is not blocking.
            worst, last = max(worst, time.thread_time() - last), time.thread_time()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return worst

    assert asyncio.run(longest_pause()) < 0.5


@pytest.mark.parametrize(("stop_on_kill", "status"), [(True, {"Stopping", "Stopped"}), (False, {"Executing"})])
def test_on_kill_stops_only_when_asked(pipelines: Pipelines, stop_on_kill: bool, status: set[str]) -> None:
    arn = pipelines.start(pipelines.deployed(WAITS))

    async def kill() -> None:
        trigger = trigger_for(arn, stop_on_kill=stop_on_kill)
        task = asyncio.create_task(fired(trigger))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await trigger.on_kill()
        await trigger.cleanup()

    asyncio.run(kill())
    assert pipelines.executions.describe(arn).status in status


def test_on_kill_waits_out_what_heals_for_many_at_once(pipelines: Pipelines, polled: FaultProxy) -> None:
    made = pipelines.deployed(WAITS)
    arns = [pipelines.start(made) for _ in range(4)]
    polled.inject("StopPipelineExecution", "throttle", times=5)
    polled.inject("StopPipelineExecution", "reset")

    async def kill_all() -> None:
        triggers = [trigger_for(arn, aws_conn_id="polled", stop_on_kill=True) for arn in arns]
        await asyncio.gather(*(trigger.on_kill() for trigger in triggers))

    asyncio.run(kill_all())
    assert {pipelines.executions.describe(arn).status for arn in arns} <= {"Stopping", "Stopped"}


def test_a_connection_whose_role_is_assumed_slowly_holds_up_no_other(
    pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop forgets connections, and other connections' clients are made, while STS keeps one waiting."""
    env, bucket = pipelines.server.env, pipelines.bucket
    with FaultProxy(pipelines.server.endpoint_url) as proxy:
        role = "arn:aws:iam::210987654321:role/Trainer"
        monkeypatch.setenv("AIRFLOW_CONN_SLOW", connection_of(env, proxy.url, bucket, assume_role=role))
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection_of(env, proxy.url, bucket))
        held = proxy.inject("AssumeRole", "hold_request")
        slow, other = AwsTarget("slow"), AwsTarget("other")
        waits = threading.Thread(target=slow.client, args=("sagemaker",), daemon=True)
        waits.start()
        assert held.reached.wait(60)
        goes_on = threading.Thread(target=lambda: (slow.forget(), other.client("sagemaker")), daemon=True)
        goes_on.start()
        goes_on.join(60)
        assert not goes_on.is_alive()
        assert waits.is_alive()
        held.release()
        waits.join(60)


def test_an_execution_that_is_not_there_is_reported_missing(pipelines: Pipelines) -> None:
    arn = pipelines.start(pipelines.deployed(WAITS))
    event = asyncio.run(fired(trigger_for(arn.rpartition("/")[0] + "/zzzzzzzzzzzz", poll_interval=0.2)))
    assert event["event"] == "missing"
    assert "zzzzzzzzzzzz" in event["error"]


@pytest.fixture
def polled(pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """What stands between the triggers of connection `polled` and the server."""
    with FaultProxy(pipelines.server.endpoint_url) as proxy:
        monkeypatch.setenv("AIRFLOW_CONN_POLLED", connection_of(pipelines.server.env, proxy.url, pipelines.bucket))
        yield proxy


def test_the_wait_survives_throttling_errors_resets_and_slow_and_lost_replies(
    pipelines: Pipelines, polled: FaultProxy
) -> None:
    made = pipelines.deployed("sleep 4")
    arns = [pipelines.start(made) for _ in range(3)]
    kinds = ("throttle", "error500", "reset", "lose_reply", "hold_reply")
    faults = [polled.inject("ListPipelineExecutions", kind) for kind in kinds]

    async def wait() -> list[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        slow = loop.run_in_executor(None, faults[-1].forwarded.wait, 60)
        slow.add_done_callback(lambda _: loop.call_later(2, faults[-1].release))
        triggers = [trigger_for(arn, aws_conn_id="polled", poll_interval=0.3, progress="status") for arn in arns]
        return await asyncio.gather(*map(fired, triggers))

    events = asyncio.run(wait())
    assert [event["status"] for event in events] == ["Succeeded"] * 3
    assert all(fault.reached.is_set() for fault in faults)


def test_credentials_that_stay_expired_are_reported_long_before_patience_ends(
    pipelines: Pipelines, polled: FaultProxy
) -> None:
    arn = pipelines.start(pipelines.deployed(WAITS))
    polled.inject("*", "expired", times=1000)
    trigger = trigger_for(arn, aws_conn_id="polled", poll_interval=0.3, progress="status", patience=3600)
    event = asyncio.run(asyncio.wait_for(fired(trigger), 60))
    assert (event["event"], event["fault"]) == ("fault", "expired credentials")
