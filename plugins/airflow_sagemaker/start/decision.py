"""What a try does about its execution: one pure function, separate from the calls that collect the facts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from airflow_sagemaker.aws.executions import Status

GONE = "gone"
"""Used instead of a status: SageMaker has no execution with the record's ARN."""
UNSEEN = "unseen"
"""Used instead of a status: the role may not describe executions."""


class OnBusy(StrEnum):
    """What to do if another execution is training the same partition."""

    FAIL = "fail"
    WAIT = "wait"
    IGNORE = "ignore"


class OnFailure(StrEnum):
    """What a retry does after the execution has failed, if the operator waits."""

    RESTART = "restart"
    RESUME = "resume"


class Decision(StrEnum):
    """What to do next. After CLAIM, LOOK and AWAIT_STOP, the decision is made again with more facts."""

    CLAIM = "claim"
    """Repeat the record's request unchanged, so that it cannot start anything unnoticed."""
    LOOK = "look"
    """Describe the execution in the record."""
    AWAIT_STOP = "await stop"
    """Wait until the execution has stopped."""
    ATTACH = "attach"
    """Continue with the execution in the record."""
    RESUME = "resume"
    """Rerun its failed steps under the same ARN, and continue with it."""
    REPEAT = "repeat"
    """Start with the record's token and display name: whichever request arrives first, the other starts nothing."""
    START_NEW = "start new"
    """Start with a new token."""
    REPLACE = "replace"
    """Stop the execution from before the clear if it is running, then start with a new token."""
    WAIT = "wait"
    """Start nothing now; check again later."""
    REFUSE = "refuse"
    """Start nothing; the task fails."""


PRELIMINARY = frozenset({Decision.CLAIM, Decision.LOOK, Decision.AWAIT_STOP})
STARTS = frozenset({Decision.REPEAT, Decision.START_NEW, Decision.REPLACE})


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the decision depends on, as far as it is known."""

    recorded: bool = False
    """Whether an earlier try has written a record."""
    has_arn: bool = False
    """Whether the record has an ARN: its request has started an execution."""
    pending: bool = False
    """Whether the record's request has no response yet: it may be in transit."""
    same_pipeline: bool = True
    """Whether the record's pipeline is the requested one."""
    same_clear_epoch: bool = True
    """Whether this task was not cleared since the record was written."""
    status: str | None = None
    """The execution's status, or GONE; None before it has been described."""
    before_clear: bool = False
    """Whether the execution runs a request from before a clear, although the record is newer."""
    waits_for_end: bool = False
    """Whether the task itself waits for the end, so that its retries follow failures."""
    on_failure: OnFailure = OnFailure.RESTART
    partition_busy: bool = False
    """Whether another live execution trains this partition."""
    full: bool = False
    """Whether max_concurrent_executions is reached."""
    on_busy: OnBusy = OnBusy.WAIT


_BY_STATUS: dict[str, Decision] = {
    Status.STOPPING: Decision.AWAIT_STOP,
    Status.EXECUTING: Decision.ATTACH,
    Status.SUCCEEDED: Decision.ATTACH,
    Status.STOPPED: Decision.START_NEW,
    UNSEEN: Decision.ATTACH,
}


def decide_start(facts: Facts) -> Decision:
    """Return what a try does about its execution.

    ======================  ========  ===========  =================================  ==========================
    Record                  Pipeline  Clear epoch  Execution                          Decision
    ======================  ========  ===========  =================================  ==========================
    none                                                                              start new
    without ARN, pending    other                                                     claim
    without ARN, answered   other                                                     start new
    without ARN             same                                                      repeat
    with ARN                          changed                                         replace
    with ARN                          same         not described yet                  look
    with ARN                          same         gone                               refuse
    with ARN                          same         from before a clear                replace
    with ARN                          same         Stopping                           await stop
    with ARN                          same         Executing, Succeeded               attach
    with ARN                          same         Stopped                            start new
    with ARN                          same         may not be described               attach
    with ARN                          same         any other; the task does not wait  attach (the sensor reports it)
    with ARN                          same         any other; on_failure="resume"     resume
    with ARN                          same         any other; on_failure="restart"    start new
    ======================  ========  ===========  =================================  ==========================

    A start (start new, repeat, replace) is also limited:

    =====================================================  ========
    Place                                                  Decision
    =====================================================  ========
    partition busy, on_busy="fail"                         refuse
    partition busy, on_busy="wait"                         wait
    as many executions as allowed, whatever on_busy says   wait
    =====================================================  ========
    """
    decision = _from_record(facts)
    if decision not in STARTS:
        return decision
    if facts.partition_busy and facts.on_busy is not OnBusy.IGNORE:
        return Decision.REFUSE if facts.on_busy is OnBusy.FAIL else Decision.WAIT
    return Decision.WAIT if facts.full else decision


def _from_record(facts: Facts) -> Decision:
    if not facts.recorded:
        return Decision.START_NEW
    if facts.has_arn:
        return _from_execution(facts) if facts.same_clear_epoch else Decision.REPLACE
    if facts.same_pipeline:
        return Decision.REPEAT
    return Decision.CLAIM if facts.pending else Decision.START_NEW


def _from_execution(facts: Facts) -> Decision:
    if facts.status is None:
        return Decision.LOOK
    if facts.status == GONE:
        return Decision.REFUSE
    if facts.before_clear:
        return Decision.REPLACE
    return _BY_STATUS.get(facts.status) or _after_failure(facts)


def _after_failure(facts: Facts) -> Decision:
    if not facts.waits_for_end:
        return Decision.ATTACH
    return Decision.RESUME if facts.on_failure is OnFailure.RESUME else Decision.START_NEW
