"""What sensor and operator share about waiting: handing over to the trigger, polling in the worker, and the verdict."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.aws import Aws
from airflow_sagemaker.exceptions import ExecutionError, ExecutionFailed, ExecutionNotFound
from airflow_sagemaker.execution import Execution, ExecutionArn, Executions, Status
from airflow_sagemaker.links import execution_url
from airflow_sagemaker.outcome import Outcome, explain_failure, read_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sagemaker.hooks import AwsTarget


def executions_of(target: AwsTarget, log: Any, **options: Any) -> Executions:
    """The executions that a task with this target sees."""
    return Executions(Aws(target, log, **options))


def checked_arn(executions: Executions, arn: Any) -> ExecutionArn:
    """Raises ExecutionNotFound for what is no ARN, or one of another region than the client's."""
    parsed = ExecutionArn.parse(arn)
    region = executions.aws.client("sagemaker").meta.region_name
    if parsed.region != region:
        raise ExecutionNotFound(
            f"{arn} is in {parsed.region}, but this task's connection is for {region}; set region_name"
        )
    return parsed


def url_of(executions: Executions, arn: str) -> str:
    """The page of an execution."""
    return execution_url(arn, executions.aws.client("sagemaker").meta.endpoint_url)


def event_status(event: dict[str, Any] | None) -> None:
    """Raise what a trigger's event reports instead of an end: a retry heals a fault, not a missing execution."""
    event = event or {}
    if event.get("event") == "missing":
        raise ExecutionNotFound(str(event.get("error")))
    if event.get("event") == "fault":
        raise ExecutionError(f"the execution could not be asked about ({event.get('fault')}): {event.get('error')}")


def verdict(executions: Executions, execution: Execution) -> Outcome:
    """The outcome of an execution that succeeded; ExecutionFailed with the explanation for any other end."""
    if execution.status != Status.SUCCEEDED:
        raise ExecutionFailed(explain_failure(executions, execution, url_of(executions, execution.arn)))
    outcome = read_outcome(executions, execution)
    log = executions.aws.log
    for step in outcome.steps:
        hit = " (from the step cache: the artifact lies at the older output path)" if step["cache_hit"] else ""
        log.info("Step %s %s in %s s%s", step["name"], step["status"], step["seconds"], hit)
    for name, value in outcome.metrics.items():
        log.info("%s: %.6g", name, value)
    log.info("Model: %s", outcome.model_artifact or "(no training job)")
    return outcome


def poll_until_ended(
    executions: Executions, arn: str, interval: float, stop: Callable[[], bool], say: Callable[[Execution], None]
) -> Execution:
    """Block the worker until the execution has ended or `stop()`; `say` is called for every answer."""
    while True:
        execution = executions.describe(arn)
        say(execution)
        if not execution.live or stop():
            return execution
        deadline = time.monotonic() + interval * random.uniform(0.9, 1.1)  # noqa: S311 - jitter, no secret
        while time.monotonic() < deadline and not stop():
            executions.aws.stopped.wait(min(1.0, max(0.0, deadline - time.monotonic())))
