"""From a validated request to one running execution: find what an earlier try started, or start it, exactly once.

The order of the acts is what the promise rests on: the record is in the task state store before the start call goes
out, the token of the record is in the call, and the ARN goes into the record before anything else happens.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.aws.client import Fault, classify, error_text, explain
from airflow_sagemaker.aws.executions import Execution, Executions, Status, owner_text
from airflow_sagemaker.aws.live_executions import live_executions
from airflow_sagemaker.aws.versions import deploy
from airflow_sagemaker.exceptions import ExecutionError, ExecutionNotFound, PartitionBusy
from airflow_sagemaker.start.record import ExecutionRecord, RecordStore, TaskRun

if TYPE_CHECKING:
    from airflow_sagemaker.definition.compiler import CompiledPipeline

STOP_SECONDS = 300.0
"""How long to wait until an execution that is being stopped has stopped."""

REFUSALS = frozenset({Fault.QUOTA, Fault.CREDENTIALS, Fault.DENIED, Fault.INVALID, Fault.CONFLICT})
"""Answers after which a request has started nothing and will not."""


class OnBusy(StrEnum):
    """What to do when another execution trains the same partition."""

    FAIL = "fail"
    WAIT = "wait"
    IGNORE = "ignore"


class OnFailure(StrEnum):
    """What a retry does after its execution has failed (operator alone)."""

    RESTART = "restart"
    RESUME = "resume"


class MustWait(Exception):
    """The start must wait for something that heals by itself: a signal to the operator, not an error."""


class Killed(Exception):
    """The task was killed while it launched; what was started has been told to stop. A signal to the operator."""


@dataclass(frozen=True)
class Request:
    """What one task run wants to have started."""

    run: TaskRun
    epoch: int
    """The task's `max_tries`: changes when this task is cleared."""
    partition: str
    pipeline_name: str
    parameters: dict[str, str]

    def details(self, digest: str, parameters: dict[str, str]) -> dict[str, Any]:
        """The operator's XCom `training_pipeline` before anything runs: what is only known then is empty."""
        return {
            "pipeline_name": self.pipeline_name,
            "digest": digest,
            "version_alias": f"d-{digest}",
            "parameters": parameters,
            "partition": self.partition,
            "console_url": "",
            "display_name": "",
            "execution_arn": "",
        }


@dataclass
class Launcher:
    """See the module. `follows` says that this task also waits for the end, so that its retries follow failures."""

    executions: Executions
    store: RecordStore
    request: Request
    follows: bool = False
    on_failure: OnFailure = OnFailure.RESTART
    on_busy: OnBusy = OnBusy.WAIT
    max_concurrent: int | None = None
    killed: Callable[[], bool] = lambda: False
    record: ExecutionRecord | None = None
    attached: bool = False
    """Whether the execution is one that an earlier try asked for."""

    @property
    def log(self) -> Any:
        """The task's log."""
        return self.executions.aws.log

    def reattach(self) -> Execution | None:
        """The execution of an earlier try that this try goes on with; None when a start is needed.

        When it returns None, `record` is the request that must be sent (again), or a past one whose successor is due.
        """
        stored = self.store.load()
        if stored is None:
            return None
        self.record = record = self._claim(self._complete(stored))
        if record.max_tries != self.request.epoch:
            self.log.info("This task was cleared: it trains anew")
            self._end_predecessor(record)
            return None
        if record.arn is None:
            return None
        described = self._described(record.arn)
        if _is_older(described, record):
            self._end_predecessor(record)
            return None
        execution = self._judge(record, described)
        if execution is not None:
            self._attach()
        return execution

    def _complete(self, record: ExecutionRecord) -> ExecutionRecord:
        """A record without an ARN: the start call may have been made. Look for what it started."""
        if record.arn is not None:
            return record
        found = self.executions.find(record)
        if found is None:
            return record
        self.log.info("Found the execution of an earlier try whose reply was lost: %s", found.arn)
        return self._save(record.with_arn(found.arn))

    def _claim(self, record: ExecutionRecord) -> ExecutionRecord:
        """A record without an ARN and of another pipeline: repeat its request to the letter.

        It may still be on its way, and the pipeline that is asked for now may not share its token. Once it has been
        answered to us, it can start nothing more.
        """
        if record.arn is not None or record.refused or record.pipeline_name == self.request.pipeline_name:
            return record
        self.log.info("An earlier try's start of pipeline %s had no answer: repeating it", record.pipeline_name)
        owner = owner_text(self.request.run, record.partition, record.max_tries)
        try:
            arn = self.executions.start(record, owner, {"PipelineVersionAlias": f"d-{record.digest}"})
        except Exception as error:
            fault = classify(error)
            if fault in REFUSALS - {Fault.QUOTA}:
                return record
            text = explain(error, f"repeating the start of pipeline {record.pipeline_name!r}")
            raise (MustWait if fault is Fault.QUOTA else ExecutionError)(text) from error
        return record if arn is None else self._save(record.with_arn(arn))

    def _attach(self) -> None:
        """Go on with an earlier try's execution: the record now says what it runs, not what was asked for last."""
        self.attached = True
        record = self.record
        if record is None or record.arn is None or not record.revised:
            return
        try:
            digest = self.executions.describe(record.arn).digest or self._hashed(record.arn)
            parameters = self.executions.parameters(record.arn)
        except Exception as error:  # it runs all the same, and the next try asks again
            self.log.warning("Which of this task's requests runs is not known: %s", error_text(error))
            return
        if digest != record.digest:
            self.log.warning("%s runs definition d-%s, which an earlier try asked for", record.arn, digest)
        self._save(dataclasses.replace(record, digest=digest, parameters=parameters, revised=False))

    def _hashed(self, arn: str) -> str:
        return hashlib.sha256(self.executions.definition(arn).encode()).hexdigest()

    def _described(self, arn: str) -> Execution:
        try:
            return self.executions.describe(arn)
        except ExecutionNotFound as error:
            raise ExecutionNotFound(
                f"{error}; this task started it: was it deleted? Clear the task to train anew"
            ) from error

    def _judge(self, record: ExecutionRecord, execution: Execution) -> Execution | None:
        """Go on with an execution of this epoch, or decide that another generation is due."""
        if execution.status == Status.STOPPING:
            execution = self._await_stop(execution)
        if execution.status in {Status.EXECUTING, Status.SUCCEEDED}:
            self.log.info("Going on with execution %s, which is %s", execution.arn, execution.status)
            return execution
        if execution.status == Status.STOPPED:
            self.log.info("Execution %s was stopped: a new generation is due", execution.arn)
            return None
        if not self.follows:
            self.log.info("Execution %s is %s; the sensor tells", execution.arn, execution.status)
            return execution
        if self.on_failure is OnFailure.RESUME:
            return self._resume(record, execution)
        self.log.info("Execution %s is %s: a new generation is due", execution.arn, execution.status)
        return None

    def _resume(self, record: ExecutionRecord, execution: Execution) -> Execution:
        token = uuid.uuid5(uuid.UUID(record.token), str(record.retried)).hex
        self.log.info("Running the failed steps of %s again", execution.arn)
        self.executions.retry(execution.arn, token)
        self._save(dataclasses.replace(record, retried=record.retried + 1))
        return dataclasses.replace(execution, status=Status.EXECUTING.value)

    def _end_predecessor(self, record: ExecutionRecord) -> None:
        """The execution that was started before this task was cleared must not go on beside the new one."""
        if record.arn is None:
            return
        try:
            execution = self.executions.describe(record.arn)
        except ExecutionNotFound:
            return
        if execution.live:
            self.log.info("Stopping the execution from before the clear: %s", execution.arn)
            self.executions.stop(execution.arn)
            self._await_stop(execution)

    def _await_stop(self, execution: Execution) -> Execution:
        self.log.info("Waiting until %s has stopped", execution.arn)
        deadline = time.monotonic() + STOP_SECONDS
        pause = 0.5
        while execution.live and time.monotonic() < deadline and not self.killed():
            self.executions.aws.stopped.wait(pause)
            pause = min(pause * 1.5, 10)
            execution = self.executions.describe(execution.arn)
        if execution.live:
            raise ExecutionError(f"execution {execution.arn} has not stopped within {STOP_SECONDS:.0f} s")
        return execution

    def guard(self) -> None:
        """Raise MustWait or PartitionBusy when another execution trains this partition or too many run already.

        One listing; not a lock: two runs that look at the same moment both pass.
        """
        if self.on_busy is OnBusy.IGNORE and self.max_concurrent is None:
            return
        live = live_executions(self.executions, self.request.pipeline_name)
        ours = self.record.display_name if self.record else ""
        others = [e for e in live if e.display_name != ours]
        busy = [e for e in others if e.owner.get("partition") == self.request.partition]
        if busy and self.on_busy is not OnBusy.IGNORE:
            run_id = busy[0].owner.get("run_id")
            text = f"partition {self.request.partition} is being trained by {busy[0].arn} (run {run_id})"
            if self.on_busy is OnBusy.FAIL:
                raise PartitionBusy(f"{text}; on_busy='wait' would wait for it")
            raise MustWait(text)
        if self.max_concurrent is not None and len(others) >= self.max_concurrent:
            raise MustWait(f"{len(others)} executions run, max_concurrent_executions is {self.max_concurrent}")

    def launch(self, compiled: CompiledPipeline) -> Execution:
        """Start the request under the compiled definition, deploying it when its alias is missing."""
        record, arn = self._launched(compiled)
        if record.revised and _is_older(self._described(arn), record):
            self._end_predecessor(record)
            record, arn = self._launched(compiled)
        if record.revised:
            self._attach()
        self.log.info("Started execution %s (%s)", arn, record.display_name)
        return Execution(arn=arn, status=Status.EXECUTING.value, display_name=record.display_name)

    def _launched(self, compiled: CompiledPipeline) -> tuple[ExecutionRecord, str]:
        record = self._save(self._due(compiled))
        self._stop_if_killed(None)
        try:
            arn = self._start(record, compiled)
        except (ExecutionError, MustWait) as error:
            if error.__cause__ is not None and classify(error.__cause__) in REFUSALS:
                self._save(dataclasses.replace(record, refused=True))
            raise
        record = self._save(record.with_arn(arn))
        self._stop_if_killed(arn)
        return record, arn

    def _due(self, compiled: CompiledPipeline) -> ExecutionRecord:
        """The record to send: an unanswered one with its token and name, else a new one.

        A dead worker's request may still be on its way, so that even after a clear, or with a definition that changed
        between the tries, the old token goes out: whichever request comes first, the other starts nothing.
        """
        old, epoch = self.record, self.request.epoch
        same_epoch = old is not None and old.max_tries == epoch
        asked: dict[str, Any] = {
            "max_tries": epoch,
            "digest": compiled.digest,
            "parameters": self.request.parameters,
            "partition": self.request.partition,
        }
        if old is not None and old.arn is None and old.pipeline_name == self.request.pipeline_name:
            self.log.info("Repeating the start of an earlier try that left no execution (%s)", old.display_name)
            return old.asking(generation=old.generation if same_epoch else 1, **asked)
        return ExecutionRecord.new(
            generation=old.generation + 1 if old is not None and same_epoch else 1,
            pipeline_name=self.request.pipeline_name,
            after=old,
            **asked,
        )

    def _start(self, record: ExecutionRecord, compiled: CompiledPipeline) -> str:
        version = {"PipelineVersionAlias": compiled.version_alias}
        arn = self._called(record, version)
        if arn is None:
            self.log.info("Pipeline %s has no version %s: deploying", compiled.pipeline_name, compiled.version_alias)
            deploy(self.executions.aws, compiled)
            self._stop_if_killed(None)
            arn = self._called(record, version)
        if arn is None:
            raise ExecutionError(f"pipeline {compiled.pipeline_name!r} has lost version {compiled.version_alias} again")
        return arn

    def _called(self, record: ExecutionRecord, version: dict[str, Any]) -> str | None:
        owner = owner_text(self.request.run, record.partition, record.max_tries)
        try:
            return self.executions.start(record, owner, version)
        except Exception as error:
            fault = classify(error)
            if fault is Fault.QUOTA:
                raise MustWait(explain(error, "starting the execution")) from error
            if fault in {Fault.INVALID, Fault.CONFLICT}:
                # The token may be taken: an earlier try's other request has arrived since this one looked.
                found = self.executions.find(record)
                if found is not None:
                    return found.arn
            raise ExecutionError(explain(error, f"starting pipeline {record.pipeline_name!r}")) from error

    def _stop_if_killed(self, arn: str | None) -> None:
        if not self.killed():
            return
        if arn is not None:
            self.executions.stop(arn)
        raise Killed(f"killed while starting; {arn or 'nothing'} was stopped")

    def _save(self, record: ExecutionRecord) -> ExecutionRecord:
        self.store.save(record)
        self.record = record
        return record


def _is_older(execution: Execution, record: ExecutionRecord) -> bool:
    """Whether it was asked for before a clear: the token goes on after one, and the older request may come first."""
    return bool(execution.owner.get("max_tries", record.max_tries) != record.max_tries)
