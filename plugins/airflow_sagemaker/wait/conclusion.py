"""What sensor and operator share about waiting: handing over to the trigger, polling in the worker, and the verdict."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.aws.client import Aws, error_text
from airflow_sagemaker.aws.console_links import Pages, pages_of
from airflow_sagemaker.aws.executions import Execution, ExecutionArn, Executions, Status
from airflow_sagemaker.aws.outcome import Outcome, explain_failure, read_outcome
from airflow_sagemaker.exceptions import ExecutionError, ExecutionNotFound
from airflow_sagemaker.links import ExecutionLink, ModelArtifactLink, TrainingJobLink, TrainingLogLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sagemaker.aws.connections import AwsTarget
    from airflow_sagemaker.wait.progress_report import Narrator


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


def pages_for(executions: Executions, arn: str) -> Pages:
    """Where people can look at an execution of this client's."""
    return pages_of(arn, executions.aws.client("sagemaker").meta.endpoint_url)


def page_urls(pages: Pages, job_name: str = "", artifact: str = "") -> dict[str, str]:
    """The addresses that are known so far, by the XCom key of their link."""
    urls = {ExecutionLink.key: pages.execution()}
    if job_name:
        urls |= {TrainingJobLink.key: pages.training_job(job_name), TrainingLogLink.key: pages.training_log(job_name)}
    if job_name and artifact:
        urls[ModelArtifactLink.key] = pages.artifact(artifact, job_name)
    return urls


def event_status(event: dict[str, Any] | None) -> dict[str, Any]:
    """A trigger's event, or the error that it reports instead of an end: a retry heals a fault, not a missing one."""
    event = event or {}
    if event.get("event") == "missing":
        raise ExecutionNotFound(str(event.get("error")))
    if event.get("event") == "fault":
        raise ExecutionError(f"the execution could not be asked about ({event.get('fault')}): {event.get('error')}")
    return event


def verdict(executions: Executions, execution: Execution) -> Outcome:
    """The outcome of an execution that succeeded; ExecutionFailed with the explanation for any other end."""
    if execution.status != Status.SUCCEEDED:
        raise explain_failure(executions, execution, pages_for(executions, execution.arn).execution())
    outcome = read_outcome(executions, execution)
    log = executions.aws.log
    if outcome.cache_hit:
        log.info("A step came from SageMaker's step cache: its artifact lies at the older run's output path")
    for name, value in outcome.metrics.items():
        log.info("%s: %.6g", name, value)
    log.info("Model: %s", outcome.model_artifact or "(no training job)")
    return outcome


def tell_assets(context: Any, outlets: Any, outcome: Outcome, partition: str | None) -> None:
    """Put the model's place, its metrics and the run's partition into the event of every Asset among the outlets."""
    from airflow.sdk import Asset

    for asset in outlets or ():
        if not isinstance(asset, Asset):
            continue
        event = context["outlet_events"][asset]
        event.extra = {
            **event.extra,
            "model_artifact": outcome.model_artifact,
            "execution_arn": outcome.execution_arn,
            "metrics": outcome.metrics,
            "partition": partition,
        }
        if partition:
            event.add_partitions(partition)


def narrate(executions: Executions, narrator: Narrator, arn: str, *, to_the_end: bool = False) -> None:
    """Log what is new about an execution; a fault here is no reason to fail."""
    log = executions.aws.log
    try:
        for level, text in narrator.tell(executions, arn, to_the_end=to_the_end):
            getattr(log, level)("%s", text)
    except Exception as error:
        log.warning("Its progress could not be read: %s", error_text(error))


def poll_until_ended(
    executions: Executions, arn: str, interval: float, stop: Callable[[], bool], narrator: Narrator
) -> Execution:
    """Block the worker until the execution has ended or `stop()`, telling what it does."""
    told = ""
    while True:
        execution = executions.describe(arn)
        if execution.status != told:
            told = execution.status
            executions.aws.log.info("Execution is %s", told)
        narrate(executions, narrator, arn, to_the_end=not execution.live)
        if not execution.live or stop():
            return execution
        deadline = time.monotonic() + interval * random.uniform(0.9, 1.1)  # noqa: S311 - jitter, no secret
        while time.monotonic() < deadline and not stop():
            executions.aws.stopped.wait(min(1.0, max(0.0, deadline - time.monotonic())))
