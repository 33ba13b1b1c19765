"""Step retry policies."""

from __future__ import annotations

from local_sagemaker.engine import retry

POLICY = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 2}


LOST = "InternalServerError: gone"


def test_retries_back_off_until_they_are_used_up() -> None:
    pauses = [retry.delay([POLICY], LOST, attempts=n, running_seconds=0) for n in (1, 2, 3)]
    assert pauses == [2.0, 6.0, None]


def test_users_own_failures_are_not_retried() -> None:
    assert retry.delay([POLICY], "AlgorithmError: exit code 1", attempts=1, running_seconds=0) is None
    assert retry.delay([], LOST, attempts=1, running_seconds=0) is None


def test_policy_expires() -> None:
    policy = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "ExpireAfterMin": 1}
    assert retry.delay([policy], LOST, attempts=40, running_seconds=59) is not None
    assert retry.delay([policy], LOST, attempts=1, running_seconds=60) is None
