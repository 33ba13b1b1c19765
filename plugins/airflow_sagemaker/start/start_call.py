"""The start call: by version alias and with the record's token; deploys the definition if it does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.backoff import jittered_pauses
from airflow_sagemaker.aws.faults import NOT_CARRIED_OUT, Fault, classify_error, explain_error
from airflow_sagemaker.aws.stopping import stop_execution
from airflow_sagemaker.aws.versions import deploy_pipeline, is_deployed
from airflow_sagemaker.contract import version_alias
from airflow_sagemaker.exceptions import ExecutionError, ExecutionNotFound, NotStopped

if TYPE_CHECKING:
    from airflow_sagemaker.aws.executions import Executions
    from airflow_sagemaker.aws.versions import CompiledPipeline
    from airflow_sagemaker.start.kill_switch import KillSwitch
    from airflow_sagemaker.start.record import ExecutionRecord, TaskRun
    from airflow_sagemaker.types import Log


class MustWait(Exception):
    """The start must wait for a condition that resolves itself; a signal to the operator, not an error."""


class Killed(Exception):
    """The task was killed during the start, and a stop was requested; a signal to the operator."""


@dataclass(frozen=True)
class StartCall:
    """Starts what a record requests; the kill switch knows each request until its response."""

    executions: Executions
    run: TaskRun
    kill_switch: KillSwitch

    @property
    def log(self) -> Log:
        """The task's log."""
        return self.executions.aws.log

    def prepare(self, compiled: CompiledPipeline) -> None:
        """Ensure that the definition's version exists and still has this definition."""
        if is_deployed(self.executions.aws, compiled):
            return
        self.log.info("Pipeline %s has no version %s: deploying", compiled.pipeline_name, compiled.version_alias)
        deploy_pipeline(self.executions.aws, compiled)
        self.stop_if_killed(None)

    def send(self, record: ExecutionRecord) -> str | None:
        """Send the call once; returns None if the pipeline or version does not exist. Raises botocore's errors."""
        with self.kill_switch.starting(lambda executions: self._send(executions, record)):
            arn = self._send(self.executions, record)
            self.kill_switch.execution_arn = arn
        return arn

    def is_pending(self, record: ExecutionRecord) -> None:
        """Whether an earlier try has sent the record's request, and its result is unknown."""
        self.kill_switch.unanswered(lambda executions: self._send(executions, record))

    def _send(self, executions: Executions, record: ExecutionRecord) -> str | None:
        return executions.start(
            record.pipeline_name,
            version={"PipelineVersionAlias": version_alias(record.digest)},
            display_name=record.display_name,
            token=record.token,
            parameters=record.parameters,
            description=self.run.owner_text(record.partition, record.clear_epoch, record.unseen_clears),
        )

    def start(self, record: ExecutionRecord) -> str:
        """Start the record's request; retries conflicts, and until SageMaker finds a new version."""
        pauses = jittered_pauses(within=self.executions.aws.patience)
        while True:
            arn, error = self._attempt(record)
            if arn is not None:
                return arn
            self.stop_if_killed(None)
            pause = next(pauses, None)
            if pause is None:
                if error is not None:
                    raise ExecutionError(explain_error(error, f"starting pipeline {record.pipeline_name!r}")) from error
                raise ExecutionError(
                    f"pipeline {record.pipeline_name!r} has no version {version_alias(record.digest)}, although it was "
                    "deployed; it may have been removed. A retry deploys it again"
                )
            answer = explain_error(error, "the response") if error else "the version is not visible yet"
            self.log.warning("Starting pipeline %s: %s; retrying in %.1f s", record.pipeline_name, answer, pause)
            self.executions.aws.stopped.wait(pause)

    def _attempt(self, record: ExecutionRecord) -> tuple[str | None, Exception | None]:
        """Return the ARN, or the conflict, or neither if the version is not visible yet."""
        try:
            return self.send(record), None
        except Exception as error:
            fault = classify_error(error)
            if fault is Fault.QUOTA:
                raise MustWait(explain_error(error, "starting the execution")) from error
            if fault in {Fault.REFUSED, Fault.CONFLICT}:
                # The token may be taken: an earlier try's other request has arrived since the last search.
                found = self.find(record)
                if found is not None:
                    return found, None
            if fault is Fault.CONFLICT:
                return None, error
            raise ExecutionError(explain_error(error, f"starting pipeline {record.pipeline_name!r}")) from error

    def find(self, record: ExecutionRecord) -> str | None:
        """Return the ARN of the execution with the record's display name, None if there is none.

        Also None if the role may not list executions: the request is then repeated with its token, and only
        SageMaker's guarantee about ClientRequestToken prevents a second execution.
        """
        try:
            found = self.executions.find(record.pipeline_name, record.display_name, created=record.created)
        except Exception as error:
            if classify_error(error) is not Fault.DENIED:
                raise
            self.log.warning(
                "The role lacks sagemaker:ListPipelineExecutions: an execution of an earlier try can be found "
                "by its token only"
            )
            return None
        return found.arn if found is not None else None

    def stop_if_killed(self, arn: str | None) -> None:
        """Raise Killed if the task was killed in the meantime, after stopping what was started."""
        if not self.kill_switch.thrown:
            return
        if arn is None:
            raise Killed("killed before anything was started")
        try:
            status = stop_execution(self.executions, arn, within=self.kill_switch.seconds).status
        except (NotStopped, ExecutionNotFound) as error:
            raise Killed(f"killed while starting: {error}") from error
        raise Killed(f"killed while starting: execution {arn} is {status}")


def was_refused(error: BaseException) -> bool:
    """Whether the response behind this error confirms that the request has no effect."""
    return error.__cause__ is not None and classify_error(error.__cause__) in NOT_CARRIED_OUT
