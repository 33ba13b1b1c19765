"""The start call: by version alias, deploying the definition where it is missing, always with the record's token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.aws.client import Fault, classify, explain
from airflow_sagemaker.aws.versions import deploy
from airflow_sagemaker.exceptions import ExecutionError

if TYPE_CHECKING:
    from airflow_sagemaker.aws.executions import Executions
    from airflow_sagemaker.aws.versions import CompiledPipeline
    from airflow_sagemaker.start.record import ExecutionRecord, TaskRun

REFUSALS = frozenset({Fault.QUOTA, Fault.CREDENTIALS, Fault.DENIED, Fault.INVALID, Fault.CONFLICT})
"""Answers after which a request has started nothing and will not."""


class MustWait(Exception):
    """The start must wait for something that heals by itself: a signal to the operator, not an error."""


class Killed(Exception):
    """The task was killed while it launched; what was started has been told to stop. A signal to the operator."""


@dataclass(frozen=True)
class StartCall:
    """Starts what a record asks for; `killed` says whether the task was killed meanwhile."""

    executions: Executions
    run: TaskRun
    killed: Callable[[], bool]

    @property
    def log(self) -> Any:
        """The task's log."""
        return self.executions.aws.log

    def send(self, record: ExecutionRecord, version: dict[str, Any]) -> str | None:
        """The call itself, once; None when no pipeline or no such version exists. Raises botocore's errors."""
        return self.executions.start(
            record.pipeline_name,
            version=version,
            display_name=record.display_name,
            token=record.token,
            parameters=record.parameters,
            description=self.run.owner_text(record.partition, record.clear_epoch),
        )

    def start(self, record: ExecutionRecord, compiled: CompiledPipeline) -> str:
        """Start the record's request under the compiled definition, deploying that when its alias is missing."""
        version = {"PipelineVersionAlias": compiled.version_alias}
        arn = self._call(record, version)
        if arn is None:
            self.log.info("Pipeline %s has no version %s: deploying", compiled.pipeline_name, compiled.version_alias)
            deploy(self.executions.aws, compiled)
            self.stop_if_killed(None)
            arn = self._call(record, version)
        if arn is None:
            raise ExecutionError(f"pipeline {compiled.pipeline_name!r} has lost version {compiled.version_alias} again")
        return arn

    def _call(self, record: ExecutionRecord, version: dict[str, Any]) -> str | None:
        try:
            return self.send(record, version)
        except Exception as error:
            fault = classify(error)
            if fault is Fault.QUOTA:
                raise MustWait(explain(error, "starting the execution")) from error
            if fault in {Fault.INVALID, Fault.CONFLICT}:
                # The token may be taken: an earlier try's other request has arrived since this one looked.
                found = self.executions.find(record.pipeline_name, record.display_name, created=record.created)
                if found is not None:
                    return found.arn
            raise ExecutionError(explain(error, f"starting pipeline {record.pipeline_name!r}")) from error

    def stop_if_killed(self, arn: str | None) -> None:
        """Raise Killed when the task was killed meanwhile, having stopped what was started."""
        if not self.killed():
            return
        if arn is not None:
            self.executions.stop(arn)
        raise Killed(f"killed while starting; {arn or 'nothing'} was stopped")
