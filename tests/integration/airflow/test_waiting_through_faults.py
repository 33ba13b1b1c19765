"""The trigger and its shared poller under the answers that proxies, lists and roles with less give."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.executions import Executions
from airflow_sagemaker.triggers import SageMakerTrainingPipelineTrigger
from airflow_sagemaker.wait.shared_poller import SharedPoller
from tests.support.fault_proxy import FaultProxy, arns_in_lower_case
from tests.support.pipelines import WAITS, Pipelines
from tests.support.samples import connection_of
from tests.support.waiting import wait_until


@pytest.fixture
def polled(pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """What stands between the triggers of connection `polled` and the server."""
    with FaultProxy(pipelines.server.endpoint_url) as proxy:
        monkeypatch.setenv("AIRFLOW_CONN_POLLED", connection_of(pipelines.server.env, proxy.url, pipelines.bucket))
        yield proxy


def trigger_for(arn: str, **options: Any) -> SageMakerTrainingPipelineTrigger:
    defaults = {"aws_conn_id": "polled", "poll_interval": 0.3, "progress": "status", "shortest": 0}
    return SageMakerTrainingPipelineTrigger(arn, **{**defaults, **options})


async def fired(trigger: SageMakerTrainingPipelineTrigger) -> dict[str, Any]:
    return dict((await anext(trigger.run())).payload)


async def all_fired(triggers: list[SageMakerTrainingPipelineTrigger]) -> list[dict[str, Any]]:
    return await asyncio.wait_for(asyncio.gather(*map(fired, triggers)), 120)


@pytest.mark.parametrize("fault", ["html403", "html404", "html407", "html408", "html413", "latin1", "login", "json404"])
def test_what_a_proxy_answers_ends_no_wait(pipelines: Pipelines, polled: FaultProxy, fault: str) -> None:
    """Three such answers in a row, well within patience, on the list and on the single look."""
    made = pipelines.deployed("sleep 3")
    arns = [pipelines.start(made) for _ in range(2)]
    faults = [polled.inject(name, fault, times=4) for name in ("DescribePipelineExecution", "ListPipelineExecutions")]
    events = asyncio.run(all_fired([trigger_for(arns[0]), trigger_for(arns[1], poll_interval=0.2)]))
    assert [event.get("status") for event in events] == ["Succeeded"] * 2, events
    assert any(struck.reached.is_set() for struck in faults)


def test_a_role_that_may_not_list_describes_each_and_says_so_once(pipelines: Pipelines, polled: FaultProxy) -> None:
    made = pipelines.deployed("sleep 3")
    polled.inject("ListPipelineExecutions", "denied", times=999)
    events = asyncio.run(all_fired([trigger_for(pipelines.start(made)) for _ in range(3)]))
    assert [event.get("status") for event in events] == ["Succeeded"] * 3, events
    assert polled.calls["ListPipelineExecutions"] == 1
    assert polled.calls["DescribePipelineExecution"] >= 3


def test_arns_in_lower_case_are_the_same_executions(pipelines: Pipelines, polled: FaultProxy) -> None:
    made = pipelines.deployed(WAITS)
    arns = [pipelines.start(made) for _ in range(6)]
    polled.rewrite["ListPipelineExecutions"] = arns_in_lower_case

    async def calls_of_three_rounds() -> int:
        waits = [asyncio.create_task(fired(trigger_for(arn))) for arn in arns]
        await asyncio.to_thread(wait_until, lambda: polled.calls["ListPipelineExecutions"] >= 3, "three rounds")
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        return polled.calls["DescribePipelineExecution"]

    assert asyncio.run(calls_of_three_rounds()) == 0


@pytest.mark.parametrize("waits", ["in the triggerer", "in the worker"])
def test_keys_that_were_replaced_in_the_connection_end_no_wait(
    pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    """Deleting an access key is answered with "invalid", not with "expired"."""
    arn = pipelines.start(pipelines.deployed("sleep 3"))
    env, endpoint = pipelines.server.env, pipelines.server.endpoint_url
    name = f"rotated{len(waits)}"
    variable, valid = f"AIRFLOW_CONN_{name.upper()}", connection_of(env, endpoint, pipelines.bucket)
    monkeypatch.setenv(variable, connection_of({**env, "AWS_SECRET_ACCESS_KEY": "old"}, endpoint, pipelines.bucket))
    target = AwsTarget(name)
    target.client("sagemaker")  # of the old keys
    monkeypatch.setenv(variable, valid)
    if waits == "in the worker":
        assert Executions(Aws(target)).describe(arn).id == arn.rpartition("/")[2]
        return

    async def wait() -> dict[str, Any]:
        """The keys are replaced after the first look."""
        monkeypatch.setenv(variable, connection_of({**env, "AWS_SECRET_ACCESS_KEY": "old"}, endpoint, pipelines.bucket))
        poller = SharedPoller.of(target)
        waiter = poller.add(arn, 0.3, 600.0)
        try:
            lines = await waiter.next_lines()
            assert "InvalidSignatureException" in lines[0][1]
            monkeypatch.setenv(variable, valid)
            return {"status": (await waiter.done).status}
        finally:
            poller.remove(waiter)

    assert asyncio.run(asyncio.wait_for(wait(), 60)) == {"status": "Succeeded"}


def test_seconds_may_be_a_timedelta(pipelines: Pipelines, polled: FaultProxy) -> None:
    arn = pipelines.start(pipelines.deployed("sleep 1"))
    trigger = trigger_for(arn, poll_interval=timedelta(milliseconds=300), patience=timedelta(minutes=10))
    assert trigger.serialize()[1]["poll_interval"] == 0.3
    assert asyncio.run(all_fired([trigger]))[0]["status"] == "Succeeded"


def test_one_waiters_fault_is_its_own(pipelines: Pipelines, polled: FaultProxy) -> None:
    """Whatever a wait brings along that no look can bear: the others of its connection wait on."""
    made = pipelines.deployed("sleep 4")
    arns = [pipelines.start(made) for _ in range(2)]

    async def wait() -> tuple[Any, dict[str, Any]]:
        broken = SharedPoller.of(AwsTarget("polled")).add(arns[0], 0.3, 600)
        broken.lines = None  # type: ignore[assignment] - what an argument that nobody foresaw may do
        well = asyncio.create_task(fired(trigger_for(arns[1])))
        error = await asyncio.wait_for(asyncio.wait([broken.done]), 60)
        SharedPoller.of(AwsTarget("polled")).remove(broken)
        return broken.done.exception() or error, await asyncio.wait_for(well, 60)

    error, event = asyncio.run(wait())
    assert isinstance(error, AttributeError)
    assert event["status"] == "Succeeded"


def test_on_kill_says_what_it_has_not_seen(
    pipelines: Pipelines, polled: FaultProxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("airflow_sagemaker.wait.shared_poller.STOP_SECONDS", 2.0)
    arn = pipelines.start(pipelines.deployed(WAITS))
    polled.inject("StopPipelineExecution", "conflict", times=999)
    asyncio.run(trigger_for(arn, stop_on_kill=True).on_kill())
    assert pipelines.executions.describe(arn).status == "Executing"
    said = capsys.readouterr().out
    assert "could not be confirmed as stopping" in said
    assert "is Stopping" not in said
