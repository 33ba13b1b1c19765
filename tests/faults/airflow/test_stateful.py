"""Lives of task runs that Hypothesis makes up: deaths, clears, marks, faults, late answers and triggerer restarts.

After each event what must hold holds (`tests.support.task_life.check`); in the end a try without faults leaves exactly
one execution that the task knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from airflow_sagemaker.aws.executions import LIVE
from airflow_sagemaker.start.record import KEY
from airflow_sagemaker.triggers import SageMakerTrainingPipelineTrigger
from tests.faults.airflow.test_fault_table import FAULTS
from tests.faults.airflow.worker import FileStore
from tests.support.task_life import Life, Lines, Table, check, running_table
from tests.support.waiting import wait_until

OPERATIONS = (
    "StartPipelineExecution", "DescribePipelineExecution", "ListPipelineExecutions", "StopPipelineExecution",
    "DescribePipeline", "ListObjectsV2",
)  # fmt: skip


@pytest.fixture(scope="module")
def table(local_sagemaker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    with running_table(local_sagemaker, tmp_path_factory.mktemp("lives")) as made:
        yield made


class Lives(RuleBasedStateMachine):
    """One task run."""

    table: Table

    def __init__(self) -> None:
        super().__init__()
        self.handler = Lines()
        self.table.log.addHandler(self.handler)
        self.table.lines = self.handler.lines
        self.life = Life(self.table)

    @property
    def arn(self) -> str | None:
        record = self.life.record()
        return record.arn if record else None

    @rule(operation=st.sampled_from(OPERATIONS), fault=st.sampled_from(FAULTS))
    def strike(self, operation: str, fault: str) -> None:
        """The next call of this operation meets a fault."""
        self.table.inject(operation, fault)

    @rule()
    def one_try(self) -> None:
        self.life.run(self.life.operator())

    @precondition(lambda self: self.life.tries)
    @rule()
    def clear(self) -> None:
        self.life.max_tries += 1
        self.life.run(self.life.operator())

    @precondition(lambda self: self.arn)
    @rule()
    def the_worker_died_before_the_answer(self) -> None:
        record = self.life.record()
        assert record is not None
        FileStore(self.life.store).set(KEY, record.to_json() | {"arn": None}, retention=True)

    @precondition(lambda self: self.arn)
    @rule()
    def stopped_by_hand(self) -> None:
        with contextlib.suppress(Exception):  # it has ended
            self.table.stop(str(self.arn))

    @rule()
    def killed_while_it_starts(self) -> None:
        operator = self.life.operator()
        held = self.table.proxy.inject("StartPipelineExecution", "hold_reply")
        thread = threading.Thread(target=self.life.run, args=(operator,))
        thread.start()
        wait_until(lambda: held.forwarded.is_set() or not thread.is_alive(), "the call, or an end without one")
        operator.on_kill()
        held.release()
        held.times = 0
        thread.join(180)
        assert not thread.is_alive()

    def _executing(self) -> list[str]:
        """Without those that are still stopping from an earlier step, which may end at any moment."""
        return [e["PipelineExecutionArn"] for e in self.life.live() if e["PipelineExecutionStatus"] == "Executing"]

    def _trigger(self) -> SageMakerTrainingPipelineTrigger:
        return SageMakerTrainingPipelineTrigger(str(self.arn), poll_interval=0.1, progress="status", stop_on_kill=True)

    @precondition(lambda self: self.arn)
    @rule()
    def the_triggerer_restarts(self) -> None:
        """It cancels the trigger: nothing may be stopped by that."""
        before = self._executing()

        async def wait_a_moment() -> None:
            trigger = self._trigger()
            waiting = asyncio.ensure_future(anext(trigger.run()))
            await asyncio.sleep(0.3)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await trigger.cleanup()

        asyncio.run(wait_a_moment())
        assert self._executing() == before

    @precondition(lambda self: self.arn)
    @rule()
    def marked_while_deferred(self) -> None:
        self.table.clear()
        asyncio.run(self._trigger().on_kill())
        assert self.table.status(str(self.arn)) not in LIVE - {"Stopping"}

    @invariant()
    def what_must_hold(self) -> None:
        if self.life.tries:
            check(self.life, self.handler.lines, ended=False)

    def teardown(self) -> None:
        try:
            self.life.tries.clear()
            self.life.until_it_is_over()
            assert self.life.tries[-1].returned is not None, self.handler.lines
            check(self.life, self.handler.lines)
            assert len(self.life.live()) == 1, self.handler.lines
        finally:
            self.table.clear()
            self.table.log.removeHandler(self.handler)
            self.table.stop_all(self.life)


def lives(table: Table, examples: int, steps: int) -> None:
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    limits = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=quiet)
    run_state_machine_as_test(type("Lives", (Lives,), {"table": table}), settings=limits)


def test_lives(table: Table) -> None:
    lives(table, examples=5, steps=6)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_lives(table: Table) -> None:
    lives(table, examples=60, steps=12)
