"""What a try does about the record and the execution of an earlier one: each row of the table in `decide`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.aws.executions import Status
from airflow_sagemaker.start.decision import GONE, STARTS, Decision, Facts, OnBusy, OnFailure, decide_start

WITH_ARN = {"recorded": True, "has_arn": True}
WITHOUT_ARN = {"recorded": True, "has_arn": False}
ROWS: dict[str, tuple[dict[str, Any], Decision]] = {
    "no record": ({}, Decision.START_NEW),
    "pending, other pipeline": ({**WITHOUT_ARN, "pending": True, "same_pipeline": False}, Decision.CLAIM),
    "answered, other pipeline": ({**WITHOUT_ARN, "same_pipeline": False}, Decision.START_NEW),
    "pending": ({**WITHOUT_ARN, "pending": True}, Decision.REPEAT),
    "refused": ({**WITHOUT_ARN}, Decision.REPEAT),
    "pending, cleared since": ({**WITHOUT_ARN, "pending": True, "same_clear_epoch": False}, Decision.REPEAT),
    "cleared since": ({**WITH_ARN, "same_clear_epoch": False}, Decision.REPLACE),
    "not looked at": (WITH_ARN, Decision.LOOK),
    "gone": ({**WITH_ARN, "status": GONE}, Decision.REFUSE),
    "from before the clear": ({**WITH_ARN, "status": "Executing", "before_clear": True}, Decision.REPLACE),
    "stopping": ({**WITH_ARN, "status": "Stopping"}, Decision.AWAIT_STOP),
    "executing": ({**WITH_ARN, "status": "Executing"}, Decision.ATTACH),
    "succeeded": ({**WITH_ARN, "status": "Succeeded", "waits_for_end": True}, Decision.ATTACH),
    "stopped": ({**WITH_ARN, "status": "Stopped"}, Decision.START_NEW),
    "failed, a sensor waits": ({**WITH_ARN, "status": "Failed"}, Decision.ATTACH),
    "failed, resume": (
        {**WITH_ARN, "status": "Failed", "waits_for_end": True, "on_failure": OnFailure.RESUME},
        Decision.RESUME,
    ),
    "failed, restart": ({**WITH_ARN, "status": "Failed", "waits_for_end": True}, Decision.START_NEW),
    "a status that nobody knows, a sensor waits": ({**WITH_ARN, "status": "Dreaming"}, Decision.ATTACH),
    "partly failed, restart": (
        {**WITH_ARN, "status": "CompletedWithFailures", "waits_for_end": True},
        Decision.START_NEW,
    ),
    "busy, fail": ({"partition_busy": True, "on_busy": OnBusy.FAIL}, Decision.REFUSE),
    "busy, wait": ({"partition_busy": True, "on_busy": OnBusy.WAIT}, Decision.WAIT),
    "busy, ignore": ({"partition_busy": True, "on_busy": OnBusy.IGNORE}, Decision.START_NEW),
    "full": ({"full": True, "on_busy": OnBusy.IGNORE}, Decision.WAIT),
    "busy and full, fail": ({"partition_busy": True, "full": True, "on_busy": OnBusy.FAIL}, Decision.REFUSE),
    "full, but it runs already": ({**WITH_ARN, "status": "Executing", "full": True}, Decision.ATTACH),
    "full, unanswered": ({**WITHOUT_ARN, "pending": True, "full": True}, Decision.WAIT),
}


@pytest.mark.parametrize(("facts", "expected"), ROWS.values(), ids=ROWS.keys())
def test_row(facts: dict[str, Any], expected: Decision) -> None:
    assert decide_start(Facts(**facts)) is expected


def test_the_rows_reach_every_decision() -> None:
    assert {decision for _, decision in ROWS.values()} == set(Decision)


FACTS = st.builds(
    Facts,
    status=st.sampled_from([None, GONE, "Dreaming", *Status]),
    **{name: st.booleans() for name in Facts.__dataclass_fields__ if name not in {"status", "on_failure", "on_busy"}},
    on_failure=st.sampled_from(OnFailure),
    on_busy=st.sampled_from(OnBusy),
)


@given(FACTS)
def test_nothing_starts_beside_an_execution_of_this_epoch_that_runs_or_succeeded(facts: Facts) -> None:
    ours = facts.recorded and facts.has_arn and facts.same_clear_epoch and not facts.before_clear
    if ours and facts.status in {None, GONE, Status.EXECUTING, Status.STOPPING, Status.SUCCEEDED}:
        assert decide_start(facts) not in STARTS


@given(FACTS)
def test_a_new_token_is_made_only_when_no_request_under_the_old_one_can_be_on_its_way(facts: Facts) -> None:
    if facts.recorded and not facts.has_arn and facts.pending:
        assert decide_start(facts) not in {Decision.START_NEW, Decision.REPLACE}
