"""The trigger that waits for an execution in the triggerer."""

from __future__ import annotations

from airflow_sagemaker import airflow_compat  # noqa: F401 - refuses an old Airflow

# isort: split
import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.faults import classify, error_code, error_text
from airflow_sagemaker.contract import ProgressLevel
from airflow_sagemaker.exceptions import ExecutionNotFound
from airflow_sagemaker.wait.progress_report import POSITION_KEY
from airflow_sagemaker.wait.shared_poller import SharedPoller, Waiter

ENDED = "ended"
MISSING = "missing"
FAULT = "fault"


class SageMakerTrainingPipelineTrigger(BaseTrigger):
    """Fires once, when the execution has ended, is gone, or could not be asked about for `patience` seconds.

    The event is `{"event": "ended", "status", "execution_arn", "told"}`, `{"event": "missing", "error"}` or
    `{"event": "fault", "fault", "error"}`; the task looks the rest up itself when it resumes, and
    continues the progress report at the position that `told` holds. `stop_on_kill` stops the
    execution when a user marks the deferred task failed or successful or clears it; a restart of the triggerer never
    does. Keyword arguments that a later version does not know any more are ignored, so that triggers stored by an
    older version load.
    """

    def __init__(
        self,
        execution_arn: str,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        poll_interval: float = 30.0,
        patience: float = 600.0,
        progress: str = ProgressLevel.STEPS.value,
        stop_on_kill: bool = False,
        **_: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.execution_arn = execution_arn
        self.target = AwsTarget(aws_conn_id, region_name, verify, botocore_config)
        self.poll_interval = poll_interval
        self.patience = patience
        self.progress = progress
        self.stop_on_kill = stop_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Everything the constructor takes; JSON only."""
        return (
            "airflow_sagemaker.triggers.SageMakerTrainingPipelineTrigger",
            {
                "execution_arn": self.execution_arn,
                **self.target.as_dict(),
                "poll_interval": self.poll_interval,
                "patience": self.patience,
                "progress": self.progress,
                "stop_on_kill": self.stop_on_kill,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait with the shared poller, logging what it says about this execution."""
        poller = SharedPoller.of(self.target)
        waiter = poller.add(self.execution_arn, self.poll_interval, self.patience, self.progress)
        try:
            yield TriggerEvent(await self._wait(waiter))  # type: ignore[no-untyped-call]
        finally:
            poller.remove(waiter)

    async def _wait(self, waiter: Waiter) -> dict[str, Any]:
        next_line = asyncio.ensure_future(waiter.lines.get())
        try:
            while not waiter.done.done():
                both: set[asyncio.Future[Any]] = {waiter.done, next_line}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if next_line.done():
                    self._log_line(*next_line.result())
                    next_line = asyncio.ensure_future(waiter.lines.get())
        finally:
            next_line.cancel()
        while not waiter.lines.empty():
            self._log_line(*waiter.lines.get_nowait())
        error = waiter.done.exception()
        if error is None:
            ended = {"event": ENDED, "status": waiter.done.result().status, "execution_arn": self.execution_arn}
            return {**ended, POSITION_KEY: waiter.position}
        if isinstance(error, ExecutionNotFound):
            return {"event": MISSING, "error": str(error), "execution_arn": self.execution_arn}
        text = f"{error_code(error)}: {error_text(error)}"
        return {"event": FAULT, "fault": classify(error).value, "error": text, "execution_arn": self.execution_arn}

    def _log_line(self, level: str, text: str) -> None:
        getattr(self.log, level)(text)

    async def on_kill(self) -> None:
        """The user acted on the deferred task."""
        if not self.stop_on_kill:
            self.log.info("Execution %s keeps running: stop_on_kill is off", self.execution_arn)
            return
        poller = SharedPoller.of(self.target)
        stopped = await poller.stop(self.execution_arn)
        self.log.info("Execution %s %s", self.execution_arn, "is stopping" if stopped else "had already ended")


class PauseTrigger(BaseTrigger):
    """Fires after about `seconds`: a task that waits for its turn holds no worker slot."""

    def __init__(self, seconds: float, **_: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Everything the constructor takes."""
        return "airflow_sagemaker.triggers.PauseTrigger", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Jittered, so that three hundred waiting tasks do not come back together."""
        await asyncio.sleep(self.seconds * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, no secret
        yield TriggerEvent({"event": "paused"})  # type: ignore[no-untyped-call]
