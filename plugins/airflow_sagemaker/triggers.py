"""The trigger that waits for an execution in the triggerer."""

from __future__ import annotations

from airflow_sagemaker import airflow_compat  # first, because it rejects an old Airflow

# isort: split
import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.faults import classify_error, error_code, error_text
from airflow_sagemaker.contract import ProgressLevel
from airflow_sagemaker.exceptions import ExecutionNotFound, NotStopped
from airflow_sagemaker.start.task_settings import seconds_of
from airflow_sagemaker.wait.progress_report import POSITION_KEY
from airflow_sagemaker.wait.shared_poller import SharedPoller, Waiter

if TYPE_CHECKING:
    from airflow_sagemaker.types import JsonObject

SHORTEST_PAUSE_SECONDS = 10.0
"""Shortest deferral of a task that cannot start yet (see `SHORTEST_DEFERRAL_SECONDS`)."""

SHORTEST_DEFERRAL_SECONDS = 5.0
"""Shortest deferral.

If a trigger fires before the scheduler has noticed that the task was deferred, Airflow 3.3 fails the task: "Executor
reported that the task instance finished with state success, but the task instance's state attribute is queued".
"""

ENDED = "ended"
MISSING = "missing"
FAULT = "fault"


class SageMakerTrainingPipelineTrigger(BaseTrigger):
    """Fires once, when the execution has ended, does not exist, or could not be polled for `patience` seconds.

    The event is `{"event": "ended", "status", "execution_arn", "told"}`, `{"event": "missing", "error"}` or
    `{"event": "fault", "fault", "error"}`. The resumed task reads the outcome itself, and continues the progress report
    at the position `told`. With `stop_on_kill`, the execution is stopped if a user marks the deferred task failed or
    successful, or clears it, but never if the triggerer restarts or another one takes over. The trigger does not fire
    before `shortest` seconds have passed. Unknown keyword arguments are ignored, so that triggers stored by an older
    version still load.
    """

    def __init__(
        self,
        execution_arn: str,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: JsonObject | None = None,
        poll_interval: timedelta | float = 30.0,
        patience: timedelta | float = 600.0,
        progress: str = ProgressLevel.STEPS.value,
        stop_on_kill: bool = False,
        shortest: float = SHORTEST_DEFERRAL_SECONDS,
        **_: object,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.execution_arn = execution_arn
        self.target = AwsTarget(aws_conn_id, region_name, verify, botocore_config)
        self.poll_interval = seconds_of("poll_interval", poll_interval)
        self.patience = seconds_of("patience", patience)
        self.progress = progress
        self.stop_on_kill = stop_on_kill
        self.shortest = shortest

    def serialize(self) -> tuple[str, JsonObject]:
        """Return the arguments of the constructor, as JSON."""
        return (
            "airflow_sagemaker.triggers.SageMakerTrainingPipelineTrigger",
            {
                "execution_arn": self.execution_arn,
                **self.target.as_dict(),
                "poll_interval": self.poll_interval,
                "patience": self.patience,
                "progress": self.progress,
                "stop_on_kill": self.stop_on_kill,
                "shortest": self.shortest,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait with the shared poller, and log what it reports about this execution."""
        begun = monotonic()
        poller = SharedPoller.of(self.target)
        waiter = poller.add(self.execution_arn, self.poll_interval, self.patience, self.progress)
        try:
            event = await self._wait(waiter)
            await asyncio.sleep(max(0.0, begun + self.shortest - monotonic()))
            yield TriggerEvent(event)  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            airflow_compat.kill_after_cancel(self)
            raise
        finally:
            poller.remove(waiter)

    async def _wait(self, waiter: Waiter) -> JsonObject:
        while not waiter.done.done():
            for level, text in await waiter.next_lines():
                getattr(self.log, level)(text)
        error = waiter.done.exception()
        if error is None:
            ended = {"event": ENDED, "status": waiter.done.result().status, "execution_arn": self.execution_arn}
            return {**ended, POSITION_KEY: waiter.position}
        if isinstance(error, ExecutionNotFound):
            return {"event": MISSING, "error": str(error), "execution_arn": self.execution_arn}
        text = f"{error_code(error)}: {error_text(error)}"
        return {
            "event": FAULT,
            "fault": classify_error(error).value,
            "error": text,
            "execution_arn": self.execution_arn,
        }

    async def on_kill(self) -> None:
        """Called when a user marks or clears the deferred task, or another triggerer has taken over this trigger.

        Airflow cancels it after thirty seconds, which the first request to Airflow may take on a busy host: the stop
        then continues in the background.
        """
        if not self.stop_on_kill:
            self.log.info("Execution %s keeps running: stop_on_kill is off", self.execution_arn)
            return
        await asyncio.shield(airflow_compat.in_background(self._stop_for_user()))

    async def _stop_for_user(self) -> None:
        if not await airflow_compat.has_been_acted_upon(self):
            return
        try:
            stopped = await SharedPoller.of(self.target).stop(self.execution_arn)
        except (NotStopped, ExecutionNotFound) as error:
            self.log.error("%s", error)
        else:
            self.log.info("Execution %s is %s", self.execution_arn, stopped.status)


class PauseTrigger(BaseTrigger):
    """Fires after about `seconds`, but at least ten: a task that cannot start yet uses no worker slot."""

    def __init__(self, seconds: float, **_: object) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds = max(float(seconds), SHORTEST_PAUSE_SECONDS)

    def serialize(self) -> tuple[str, JsonObject]:
        """Return the arguments of the constructor, as JSON."""
        return "airflow_sagemaker.triggers.PauseTrigger", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait with jitter, so that hundreds of waiting tasks do not resume together."""
        await asyncio.sleep(self.seconds * random.uniform(1.0, 1.4))  # noqa: S311 - jitter, not a secret
        yield TriggerEvent({"event": "paused"})  # type: ignore[no-untyped-call]
