"""Stop an execution. It is stopped when DescribePipelineExecution confirms it, not when the stop call returns.

SageMaker responds ConflictException while an execution changes its state (apache/airflow #36337), and a call may be
throttled, reset or answered by a proxy. So a stop is repeated until Describe reports Stopping or a final status.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.backoff import jittered_pauses
from airflow_sagemaker.aws.executions import Status, execution_of_description
from airflow_sagemaker.aws.faults import Fault, classify_error, error_code, error_text, explain_error
from airflow_sagemaker.exceptions import ExecutionNotFound, NotStopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sagemaker.aws.executions import Execution, Executions
    from airflow_sagemaker.aws.responses import ExecutionDescription

STOP_SECONDS = 120.0
"""How long a stop is repeated by default."""

KILL_SECONDS = 4.0
"""How long a stop in on_kill may take: Airflow kills the process five seconds after the signal."""

TIMEOUT_STOP_SECONDS = 60.0
"""How long a stop may take after a timeout, when Airflow does not kill the process."""


@dataclass(frozen=True)
class StopAttempt:
    """The results of a StopPipelineExecution and the DescribePipelineExecution after it."""

    execution: Execution | None
    """None if Describe failed."""
    error: Exception | None
    """The error of the stop, or of Describe; None if both succeeded."""

    @property
    def stopped(self) -> Execution | None:
        """The execution, if it is stopping or has ended; otherwise None."""
        seen = self.execution
        return seen if seen is not None and seen.status != Status.EXECUTING else None

    def is_hopeless(self, attempts: int) -> bool:
        """Whether a repetition after so many attempts cannot succeed; the second one has reloaded the credentials."""
        fault = classify_error(self.error) if self.error is not None else None
        return fault is Fault.DENIED or (fault is Fault.CREDENTIALS and attempts > 1)

    def __str__(self) -> str:
        if self.error is None:
            return "SageMaker accepted the stop, but the execution is still Executing"
        return f"{classify_error(self.error).value}: {error_code(self.error)}: {error_text(self.error)}"


def stop_execution(executions: Executions, arn: str, *, within: float = STOP_SECONDS) -> Execution:
    """Stop an execution and return what Describe then reports: Stopping, or any final status.

    Conflicts and faults are retried for `within` seconds. Raises NotStopped, with the last response, and
    ExecutionNotFound.
    """
    pauses, attempts, said = jittered_pauses(within=within, first=0.25), 0, False
    while True:
        attempt, attempts = try_to_stop(executions, arn), attempts + 1
        if attempt.stopped is not None:
            return attempt.stopped
        pause, hopeless = next(pauses, None), attempt.is_hopeless(attempts)
        if hopeless or pause is None:
            raise NotStopped(arn, str(attempt), hopeless=hopeless)
        if attempt.error is not None and not said:
            executions.aws.log.warning("Stopping %s: %s; retrying", arn, attempt)
            said = True
        time.sleep(pause)


def try_to_stop(executions: Executions, arn: str) -> StopAttempt:
    """Send one stop, then describe the execution, whatever the response was. Raises ExecutionNotFound."""
    error: Exception | None = None
    try:
        executions.aws.once("sagemaker", "stop_pipeline_execution", PipelineExecutionArn=arn)
    except Exception as refused:
        error = refused
    try:
        reply: ExecutionDescription = executions.aws.once(
            "sagemaker", "describe_pipeline_execution", PipelineExecutionArn=arn
        )
    except Exception as unseen:
        if classify_error(unseen) is Fault.GONE:
            raise ExecutionNotFound(f"execution {arn} was not found: {error_text(unseen)}") from unseen
        return StopAttempt(None, error or unseen)
    return StopAttempt(execution_of_description(reply), error)


def stop_from_signal_handler(
    executions: Executions, find: Callable[[Executions], str | None], *, within: float = KILL_SECONDS
) -> None:
    """Stop what `find` returns and log the result, in a separate thread, because a signal handler must not share locks.

    Returns after at most `within` seconds, even if it was not stopped.
    """
    ended = threading.Event()

    def stop_and_say() -> None:
        try:
            _stop_and_say(executions, find, within)
        finally:
            ended.set()

    threading.Thread(target=stop_and_say, name="stop-execution").start()
    if not ended.wait(within):
        late = "Could not confirm that the execution stops: no response within %.0f s; `orphans --stop` finds it"
        saying = threading.Thread(target=executions.aws.log.error, args=(late, within), daemon=True)
        saying.start()
        saying.join(0.5)


def _stop_and_say(executions: Executions, find: Callable[[Executions], str | None], within: float) -> None:
    try:
        arn = find(executions)
        if arn is None:
            executions.aws.log.info("Nothing was started")
            return
        executions.aws.log.info("Execution %s is %s", arn, stop_execution(executions, arn, within=within).status)
    except (NotStopped, ExecutionNotFound) as error:
        executions.aws.log.error("%s", error)
    except Exception as error:
        executions.aws.log.error("%s", explain_error(error, "could not stop the execution that was being started"))
