"""Step retry policies: whether and when a failed step is retried."""

from __future__ import annotations

from collections.abc import Sequence

from local_sagemaker.steps.step import RetryPolicy

_BY_REASON = {
    "InternalServerError": "SageMaker.JOB_INTERNAL_ERROR",
    "CapacityError": "SageMaker.CAPACITY_ERROR",
    "InsufficientCapacityError": "SageMaker.CAPACITY_ERROR",
    "ResourceLimitExceeded": "SageMaker.RESOURCE_LIMIT",
    "ThrottlingException": "Step.THROTTLING",
    "ServiceUnavailable": "Step.SERVICE_FAULT",
    "InternalFailure": "Step.SERVICE_FAULT",
}


def exception_type(reason: str) -> str | None:
    """The exception type of a failure, from the word before the colon; None for the user's errors, never retried."""
    return _BY_REASON.get(reason.partition(":")[0])


def delay(policies: Sequence[RetryPolicy], reason: str, *, attempts: int, running_seconds: float) -> float | None:
    """Seconds until the next attempt; None if no policy allows one.

    `attempts` have been made, the first of them `running_seconds` ago. The defaults are the service's: 1 s, doubled
    each time, 5 attempts.
    """
    kind = exception_type(reason)
    for policy in policies:
        if kind not in policy["ExceptionType"]:
            continue
        expire = policy.get("ExpireAfterMin")
        if expire is not None and running_seconds >= expire * 60:
            return None
        if expire is None and attempts > policy.get("MaxAttempts", 5):
            return None
        interval, rate = float(policy.get("IntervalSeconds", 1)), float(policy.get("BackoffRate", 2))
        return float(min(interval * rate ** (attempts - 1), 7 * 86400))
    return None
