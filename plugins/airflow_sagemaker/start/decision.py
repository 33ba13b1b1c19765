"""What a try does about its execution: one decision over plain values, separate from the calls that obtain them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from airflow_sagemaker.aws.executions import Status

GONE = "gone"
"""Used instead of a status: SageMaker has no execution with the record's ARN."""
UNSEEN = "unseen"
"""Used instead of a status: the role may not describe executions."""


class OnBusy(StrEnum):
    """What to do when another execution trains the same partition."""

    FAIL = "fail"
    WAIT = "wait"
    IGNORE = "ignore"


class OnFailure(StrEnum):
    """What a retry does after its execution has failed (operator alone)."""

    RESTART = "restart"
    RESUME = "resume"


class Decision(StrEnum):
    """What comes next. After CLAIM, LOOK and AWAIT_STOP more is known, and the decision is made again."""

    CLAIM = "claim"
    """Send the record's request again unchanged, so that it cannot start anything unnoticed."""
    LOOK = "look"
    """Describe the execution that the record names."""
    AWAIT_STOP = "await stop"
    """Wait until the execution has stopped."""
    ATTACH = "attach"
    """Continue with the execution that the record names."""
    RESUME = "resume"
    """Run its failed steps again under the same ARN, and continue with it."""
    REPEAT = "repeat"
    """Start under the record's token and display name: whichever request comes first, the other starts nothing."""
    START_NEW = "start new"
    """Start under a new token."""
    REPLACE = "replace"
    """Stop the execution from before the clear if it still runs, then start under a new token."""
    WAIT = "wait"
    """Start nothing now; ask again later."""
    REFUSE = "refuse"
    """Start nothing; the task fails."""


PRELIMINARY = frozenset({Decision.CLAIM, Decision.LOOK, Decision.AWAIT_STOP})
STARTS = frozenset({Decision.REPEAT, Decision.START_NEW, Decision.REPLACE})


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything the decision depends on, as far as it is known yet."""

    recorded: bool = False
    """An earlier try has written a record."""
    has_arn: bool = False
    """The record's request is known to have started an execution."""
    pending: bool = False
    """The record's request has no answer: it may still be in flight."""
    same_pipeline: bool = True
    """The record's pipeline is the one that is wanted now."""
    same_clear_epoch: bool = True
    """This task was not cleared since the record was written."""
    status: str | None = None
    """The execution's status, or GONE; None before it has been described."""
    before_clear: bool = False
    """The execution runs a request from before a clear, though the record is from after it."""
    waits_for_end: bool = False
    """The task itself waits for the end, so that its retries answer for failures."""
    on_failure: OnFailure = OnFailure.RESTART
    partition_busy: bool = False
    """Another live execution trains this partition."""
    full: bool = False
    """As many executions run as are allowed at once."""
    on_busy: OnBusy = OnBusy.WAIT


_BY_STATUS: dict[str, Decision] = {
    Status.STOPPING: Decision.AWAIT_STOP,
    Status.EXECUTING: Decision.ATTACH,
    Status.SUCCEEDED: Decision.ATTACH,
    Status.STOPPED: Decision.START_NEW,
    UNSEEN: Decision.ATTACH,
}


def decide_start(facts: Facts) -> Decision:
    """What a try does about its execution.

    ======================  ========  ===========  =================================  ==========================
    Record                  Pipeline  Clear epoch  Execution                          Decision
    ======================  ========  ===========  =================================  ==========================
    none                                                                              start new
    without ARN, pending    other                                                     claim
    without ARN, answered   other                                                     start new
    without ARN             same                                                      repeat
    with ARN                          changed                                         replace
    with ARN                          same         not looked at                      look
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

    A start (start new, repeat, replace) also needs a free place:

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
