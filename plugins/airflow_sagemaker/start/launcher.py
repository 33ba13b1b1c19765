"""From a validated request to one running execution: find the one that an earlier try started, or start it, exactly
once.

The guarantee depends on the order: the record is stored before the start call is sent, the call has the record's token,
and the ARN is added to the record before anything else happens. `decision` decides what to do about a record; this
module collects the facts and carries out the decision.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.aws.backoff import jittered_pauses
from airflow_sagemaker.aws.executions import Execution, Executions, Status
from airflow_sagemaker.aws.faults import NOT_CARRIED_OUT, Fault, classify_error, error_text, explain_error
from airflow_sagemaker.aws.live_executions import live_executions
from airflow_sagemaker.aws.stopping import stop_execution
from airflow_sagemaker.contract import version_alias
from airflow_sagemaker.exceptions import (
    ExecutionError,
    ExecutionNotFound,
    NotStopped,
    PartitionBusy,
    PreflightError,
)
from airflow_sagemaker.start.decision import (
    GONE,
    PRELIMINARY,
    STARTS,
    UNSEEN,
    Decision,
    Facts,
    OnBusy,
    OnFailure,
    decide_start,
)
from airflow_sagemaker.start.kill_switch import KillSwitch
from airflow_sagemaker.start.record import Clears, ExecutionRecord, RecordStore, TaskRun
from airflow_sagemaker.start.start_call import MustWait, StartCall, was_refused

if TYPE_CHECKING:
    from airflow_sagemaker.aws.versions import CompiledPipeline
    from airflow_sagemaker.types import Log

WAIT_IN_WORKER_SECONDS = 15.0
"""How long a worker waits for a stop before it releases its slot; most stops take a few seconds."""

DECISION_TEXTS = {
    Decision.ATTACH: "continuing with it",
    Decision.RESUME: "rerunning its failed steps",
    Decision.START_NEW: "starting a new generation",
    Decision.REPLACE: "it predates the clear",
}


@dataclass(frozen=True)
class Request:
    """What a task run requests."""

    run: TaskRun
    clears: Clears
    """What Airflow knows about the clears of this task."""
    partition: str
    pipeline_name: str
    parameters: dict[str, str]
    unseen_clears: int = 0
    """Clears that did not change `clears.max_tries` (`Clears.unseen`)."""

    @property
    def clear_epoch(self) -> tuple[int, int]:
        """Changes when this task is cleared, and only then."""
        return self.clears.max_tries, self.unseen_clears


@dataclass
class Launcher:
    """Finds or starts a task run's execution. `waits_for_end`: the task itself waits, so retries follow failures."""

    executions: Executions
    store: RecordStore
    request: Request
    waits_for_end: bool = False
    on_failure: OnFailure = OnFailure.RESTART
    on_busy: OnBusy = OnBusy.WAIT
    max_concurrent: int | None = None
    kill_switch: KillSwitch = field(default_factory=KillSwitch)
    record: ExecutionRecord | None = None
    attached: bool = False
    """Whether the execution was requested by an earlier try."""
    _facts: Facts = field(default_factory=Facts, init=False)

    def __post_init__(self) -> None:
        self._call = StartCall(self.executions, self.request.run, self.kill_switch)

    @property
    def log(self) -> Log:
        """The task's log."""
        return self.executions.aws.log

    def reattach(self) -> Execution | None:
        """Return the execution of an earlier try to continue with, None if one must be started.

        If it returns None, `record` is a request that must be sent again, or an earlier one that needs a successor.
        """
        record = self.store.load()
        if record is None:
            return None
        self.kill_switch.execution_arn = record.arn
        if record.arn is None and not record.refused:
            self._call.is_pending(record)
        record = self.record = self._find_answer(record)
        execution: Execution | None = None
        facts = self._facts_of(record)
        if not facts.same_clear_epoch:
            self.log.info("This task was cleared; starting a new training")
        while (decision := decide_start(facts)) in PRELIMINARY:
            if decision is Decision.CLAIM:
                record = self._claim(record)
                facts = replace(self._facts_of(record), pending=False)
            else:
                execution = self._await_stop(execution) if execution else self._look(record)
                before_clear = _is_before_clear(execution, record)
                facts = replace(facts, status=execution.status, before_clear=before_clear)
        self._facts = facts
        return self._carry_out(decision, record, execution)

    def _carry_out(self, decision: Decision, record: ExecutionRecord, execution: Execution | None) -> Execution | None:
        if decision is Decision.REPLACE:
            self._end_predecessor(record)
        if execution is None:
            return None
        if decision is Decision.REFUSE:
            hint = "this task started it, and it may have been deleted; clear the task to start a new training"
            raise ExecutionNotFound(f"{execution.failure_reason}; {hint}")
        failed = execution.status not in {Status.EXECUTING, Status.SUCCEEDED}
        what_now = "the sensor reports it" if decision is Decision.ATTACH and failed else DECISION_TEXTS[decision]
        # not "execution ... is ...", by which the report page recognises the end of a wait
        self.log.info("Found %s, %s: %s", execution.arn, execution.status, what_now)
        if decision in STARTS:
            self.kill_switch.execution_arn = None  # it has ended: only a new execution may have to be stopped
            return None
        if decision is Decision.RESUME:
            execution = self._resume(record, execution)
        self._attach()
        return execution

    def _facts_of(self, record: ExecutionRecord) -> Facts:
        """Return what follows from the record alone."""
        return Facts(
            recorded=True,
            has_arn=record.arn is not None,
            pending=record.arn is None and not record.refused,
            same_pipeline=record.pipeline_name == self.request.pipeline_name,
            same_clear_epoch=_clear_epoch(record) == self.request.clear_epoch,
            waits_for_end=self.waits_for_end,
            on_failure=self.on_failure,
        )

    def _find_answer(self, record: ExecutionRecord) -> ExecutionRecord:
        """Search for the execution of a record without an ARN, whose start call may have been made."""
        if record.arn is not None:
            return record
        arn = self._call.find(record)
        if arn is None:
            return record
        self.kill_switch.execution_arn = arn
        self.log.info("Found the execution that an earlier try started without receiving a reply: %s", arn)
        return self._save(record.with_arn(arn))

    def _claim(self, record: ExecutionRecord) -> ExecutionRecord:
        """Repeat the request of a record without an ARN and with another pipeline, unchanged.

        It may still be in transit, and the pipeline requested now cannot use its token. After we have received a
        response, it cannot start anything any more.
        """
        self.log.info("An earlier try's start of pipeline %s received no response; repeating it", record.pipeline_name)
        try:
            arn = self._call.send(record)
        except Exception as error:
            fault = classify_error(error)
            if fault in NOT_CARRIED_OUT - {Fault.QUOTA}:
                return record
            text = explain_error(error, f"repeating the start of pipeline {record.pipeline_name!r}")
            waits = fault in {Fault.QUOTA, Fault.CONFLICT}
            raise (MustWait if waits else ExecutionError)(text) from error
        return record if arn is None else self._save(record.with_arn(arn))

    def _attach(self) -> None:
        """Continue with an earlier try's execution: the record then describes what it runs, not the last request."""
        self.attached = True
        record = self.record
        if record is None or record.arn is None or not record.revised:
            return
        try:
            digest = self.executions.describe(record.arn).digest or self._digest_by_content(record.arn)
            parameters = self.executions.parameters(record.arn)
        except Exception as error:  # it is running nevertheless; the next try checks again
            self.log.warning("Could not determine which of this task's requests is running: %s", error_text(error))
            return
        if digest != record.digest:
            self.log.warning("%s runs definition %s, which an earlier try requested", record.arn, version_alias(digest))
        self._save(replace(record, digest=digest, parameters=parameters, revised=False))

    def _digest_by_content(self, arn: str) -> str:
        return hashlib.sha256(self.executions.definition(arn).encode()).hexdigest()

    def _look(self, record: ExecutionRecord) -> Execution:
        """Return the execution in the record; its status is GONE if SageMaker has no execution with that ARN."""
        arn = str(record.arn)
        try:
            return self.executions.describe(arn)
        except ExecutionNotFound as error:
            return Execution(arn=arn, status=GONE, failure_reason=str(error))
        except Exception as error:
            if classify_error(error) is not Fault.DENIED:
                raise
            self.log.warning("The role lacks sagemaker:DescribePipelineExecution: the status of %s is unknown", arn)
            return Execution(arn=arn, status=UNSEEN)

    def _resume(self, record: ExecutionRecord, execution: Execution) -> Execution:
        token = uuid.uuid5(uuid.UUID(record.token), str(record.retried)).hex
        self.log.info("Rerunning the failed steps of %s", execution.arn)
        self.executions.retry(execution.arn, token)
        self._save(replace(record, retried=record.retried + 1))
        return replace(execution, status=Status.EXECUTING.value)

    def _end_predecessor(self, record: ExecutionRecord) -> None:
        """Stop the execution from before the clear, which must not run at the same time as the new one.

        Raises MustWait until it has ended, to release the worker slot.
        """
        if record.arn is None:
            return
        try:
            execution = self.executions.describe(record.arn)
            if execution.status == Status.EXECUTING:
                self.log.info("Stopping the execution from before the clear: %s", execution.arn)
                execution = stop_execution(self.executions, execution.arn, within=WAIT_IN_WORKER_SECONDS)
        except ExecutionNotFound:
            return
        except NotStopped as error:
            if error.hopeless:
                raise
            raise MustWait(f"the execution from before the clear must end first: {error}") from error
        except ExecutionError:
            raise
        except Exception as error:
            raise ExecutionError(explain_error(error, f"stopping {record.arn}, which predates the clear")) from error
        self._await_stop(execution)
        self.kill_switch.execution_arn = None

    def _await_stop(self, execution: Execution) -> Execution:
        for pause in jittered_pauses(within=WAIT_IN_WORKER_SECONDS, longest=5.0):
            if not execution.live or self.kill_switch.thrown:
                break
            self.executions.aws.stopped.wait(pause)
            execution = self.executions.describe(execution.arn)
        if execution.live:
            raise MustWait(f"execution {execution.arn} is {execution.status} and must end first")
        return execution

    def require_free_place(self) -> None:
        """Raise MustWait or PartitionBusy if another execution trains this partition, or too many are running.

        This is one listing and not a lock: two runs that check at the same moment both pass.
        """
        if self.on_busy is OnBusy.IGNORE and self.max_concurrent is None:
            return
        try:
            live = live_executions(self.executions, self.request.pipeline_name)
        except Exception as error:
            if classify_error(error) is not Fault.DENIED:
                raise
            needs = "which on_busy and max_concurrent_executions need; grant it, or set on_busy='ignore' and no limit"
            raise PreflightError(
                f"the role lacks sagemaker:ListPipelineExecutions, {needs} ({error_text(error)})"
            ) from error
        ours = self.record.display_name if self.record else ""
        others = [e for e in live if e.display_name != ours]
        busy = [e for e in others if e.owner.get("partition") == self.request.partition]
        full = self.max_concurrent is not None and len(others) >= self.max_concurrent
        decision = decide_start(replace(self._facts, partition_busy=bool(busy), full=full, on_busy=self.on_busy))
        if decision in STARTS:
            return
        if busy and self.on_busy is not OnBusy.IGNORE:
            run_id = busy[0].owner.get("run_id")
            text = f"partition {self.request.partition} is being trained by {busy[0].arn} (run {run_id})"
        else:
            text = f"{len(others)} executions are running, and max_concurrent_executions is {self.max_concurrent}"
        if decision is Decision.REFUSE:
            raise PartitionBusy(f"{text}; on_busy='wait' would wait for it")
        raise MustWait(text)

    def launch(self, compiled: CompiledPipeline) -> Execution:
        """Start the request with the compiled definition, and deploy it if its alias does not exist."""
        record, arn = self._start_once(compiled)
        if record.revised and _is_before_clear(self.executions.describe(arn), record):
            self._end_predecessor(record)
            record, arn = self._start_once(compiled)
        if record.revised:
            self._attach()
        self.log.info("Started execution %s (%s)", arn, record.display_name)
        return Execution(arn=arn, status=Status.EXECUTING.value, display_name=record.display_name)

    def _start_once(self, compiled: CompiledPipeline) -> tuple[ExecutionRecord, str]:
        self._call.prepare(compiled)
        record = self._save(self._next_record(compiled))
        self._call.stop_if_killed(None)
        try:
            arn = self._call.start(record)
        except (ExecutionError, MustWait) as error:
            if was_refused(error):
                self._save(replace(record, refused=True))
            raise
        record = self._save(record.with_arn(arn))
        self._call.stop_if_killed(arn)
        return record, arn

    def _next_record(self, compiled: CompiledPipeline) -> ExecutionRecord:
        """Return the record to send: one without a response keeps its token and name, otherwise a new one.

        A dead worker's request may still be in transit. So even after a clear, or if the definition changed between the
        tries, the old token is sent: whichever request arrives first, the other starts nothing.
        """
        old, clears = self.record, self.request.clears
        same_epoch = old is not None and _clear_epoch(old) == self.request.clear_epoch
        wanted: dict[str, Any] = {
            "clear_epoch": clears.max_tries,
            "retries": clears.retries,
            "clear_number": clears.clear_number,
            "unseen_clears": self.request.unseen_clears,
            "digest": compiled.digest,
            "parameters": self.request.parameters,
            "partition": self.request.partition,
        }
        if old is not None and decide_start(self._facts_of(old)) is Decision.REPEAT:
            self.log.info("Repeating the start of an earlier try that left no execution (%s)", old.display_name)
            return old.asking(generation=old.generation if same_epoch else 1, **wanted)
        return ExecutionRecord.new(
            generation=old.generation + 1 if old is not None and same_epoch else 1,
            pipeline_name=self.request.pipeline_name,
            after=old,
            **wanted,
        )

    def _save(self, record: ExecutionRecord) -> ExecutionRecord:
        self.store.save(record)
        self.record = record
        return record


def _clear_epoch(record: ExecutionRecord) -> tuple[int, int]:
    return record.clear_epoch, record.unseen_clears


def _is_before_clear(execution: Execution, record: ExecutionRecord) -> bool:
    """Whether it runs a request from before a clear, which may arrive first because the token stays the same."""
    return execution.clear_epoch not in {None, _clear_epoch(record)}
