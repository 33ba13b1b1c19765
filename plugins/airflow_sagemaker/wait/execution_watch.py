"""A task's wait for an execution: what operator and sensor have in common."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from airflow_sagemaker import airflow_compat
from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.console_links import page_urls, pages_of
from airflow_sagemaker.aws.executions import Execution, ExecutionArn, Executions, Status
from airflow_sagemaker.aws.faults import error_text, explain_error
from airflow_sagemaker.aws.outcome import Outcome, explain_failure, read_outcome
from airflow_sagemaker.aws.stopping import TIMEOUT_STOP_SECONDS, stop_execution
from airflow_sagemaker.exceptions import ExecutionError, ExecutionFailed, ExecutionNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow.sdk import Context

    from airflow_sagemaker.aws.connections import AwsTarget
    from airflow_sagemaker.types import JsonObject, Log
    from airflow_sagemaker.wait.progress_report import ProgressReport


class ExecutionWatch:
    """Polls an execution, reports its progress in the task's log, and returns its outcome when it has ended."""

    def __init__(self, executions: Executions, arn: str, report: ProgressReport) -> None:
        self.executions = executions
        self.arn = arn
        self.report = report
        self._pages = pages_of(arn, executions.aws.client("sagemaker").meta.endpoint_url)
        self.page_urls = page_urls(self._pages)
        """URLs of the task's links by XCom key; more are known after `conclude`."""
        self.last_status = ""
        self._log = executions.aws.log

    def look(self) -> Execution:
        """Describe the execution, and log a new status."""
        execution = self.executions.describe(self.arn)
        if execution.status != self.last_status:
            self._log.info("Execution is %s (%s)", execution.status, execution.arn)
            self.last_status = execution.status
        return execution

    def log_progress(self, *, to_the_end: bool = False) -> None:
        """Log new progress; errors do not fail the task."""
        try:
            for level, text in self.report.new_lines(self.executions, self.arn, to_the_end=to_the_end):
                getattr(self._log, level)("%s", text)
        except Exception as error:
            self._log.warning("Could not read its progress: %s", error_text(error))

    def poll_until_ended(self, interval: float, stop: Callable[[], bool]) -> Execution:
        """Block until the execution has ended or `stop()` is true, and report its progress."""
        while True:
            execution = self.look()
            self.log_progress(to_the_end=not execution.live)
            if not execution.live or stop():
                return execution
            deadline = time.monotonic() + interval * random.uniform(0.9, 1.1)  # noqa: S311 - jitter, no secret
            while time.monotonic() < deadline and not stop():
                self.executions.aws.stopped.wait(min(1.0, max(0.0, deadline - time.monotonic())))

    def conclude(self, execution: Execution) -> Outcome:
        """Return the outcome of a successful execution. Raises ExecutionFailed with an explanation for any other."""
        if execution.status != Status.SUCCEEDED:
            failure: ExecutionFailed = explain_failure(self.executions, execution, self._pages.execution())
            self.page_urls |= page_urls(self._pages, failure.training_job_name)
            raise failure
        outcome = read_outcome(self.executions, execution)
        if outcome.cache_hit:
            self._log.info("A step came from SageMaker's step cache: its artifact is at the older run's output path")
        for name, value in outcome.metrics.items():
            self._log.info("%s: %.6g", name, value)
        self._log.info("Model: %s", outcome.model_artifact or "(no training job)")
        self.page_urls |= page_urls(self._pages, outcome.training_job_name, outcome.model_artifact)
        return outcome


def open_executions(target: AwsTarget, log: Log) -> Executions:
    """Return the executions of this target."""
    return Executions(Aws(target, log))


def require_own_region(executions: Executions, arn: object) -> None:
    """Raise ExecutionNotFound unless this is an execution's ARN in the client's region."""
    parsed = ExecutionArn.parse(arn)
    region = executions.aws.client("sagemaker").meta.region_name
    if parsed.region != region:
        raise ExecutionNotFound(f"{arn} is in {parsed.region}, but this task's region_name is {region}; remove it")


def checked_event(event: JsonObject | None) -> JsonObject:
    """Return a trigger's event, or raise its error: a retry can fix a fault, but not a missing execution."""
    event = event or {}
    if event.get("event") == "missing":
        raise ExecutionNotFound(str(event.get("error")))
    if event.get("event") == "fault":
        raise ExecutionError(f"could not get the execution's status ({event.get('fault')}): {event.get('error')}")
    return event


def stop_at_timeout(target: Callable[[], AwsTarget], arn: str, log: Log, limit: str) -> None:
    """Stop an execution whose task has timed out; errors are only logged, so that the timeout is raised."""
    try:
        stopped = stop_execution(open_executions(target(), log), arn, within=TIMEOUT_STOP_SECONDS)
    except Exception as error:
        log.error(
            "%s: %s", limit, error if isinstance(error, ExecutionError) else explain_error(error, f"stopping {arn}")
        )
    else:
        log.info("%s: execution %s is %s", limit, arn, stopped.status)


def update_assets(context: Context, outlets: Iterable[object], outcome: Outcome, partition: str | None) -> None:
    """Add the model's S3 URI, its metrics and the run's partition to the events of all assets among the outlets."""
    from airflow.sdk import Asset

    for asset in outlets or ():
        if not isinstance(asset, Asset):
            continue
        event = context["outlet_events"][asset]
        event.extra = {
            **event.extra,
            "model_artifact": outcome.model_artifact,
            "execution_arn": outcome.execution_arn,
            "metrics": outcome.as_dict()["metrics"],
            "partition": partition,
        }
        if partition:
            airflow_compat.add_partition(event, partition)
