"""Questions to the triggerer's supervisor: one that was sent must have its answer read, whoever is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from airflow_sagemaker.airflow_compat import call_where_airflow_may_be_asked


class Supervisor:
    """Answers in order, as the triggerer's socket does: each answer belongs to the oldest question without one."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.read = 0

    def question(self) -> str:
        """As Airflow's `send`: from a thread, answered in the loop."""
        return str(async_to_sync(self._answer)())

    async def _answer(self) -> str:
        self.asked.set()
        await self.may_answer.wait()
        self.read += 1
        return "connection"


def test_the_answer_to_a_cancelled_callers_question_is_read() -> None:
    async def scene() -> Supervisor:
        supervisor = Supervisor()
        caller = asyncio.create_task(call_where_airflow_may_be_asked(supervisor.question))
        await supervisor.asked.wait()
        caller.cancel()
        await asyncio.wait([caller])
        assert caller.cancelled()
        supervisor.may_answer.set()
        assert await call_where_airflow_may_be_asked(supervisor.question) == "connection"
        return supervisor

    assert asyncio.run(asyncio.wait_for(scene(), 30)).read == 2


def test_an_error_reaches_the_caller() -> None:
    def fails() -> Any:
        raise LookupError("no such connection")

    with pytest.raises(LookupError, match="no such connection"):
        asyncio.run(call_where_airflow_may_be_asked(fails))
