"""The checks of a step's RetryPolicies."""

from __future__ import annotations

from local_sagemaker.expressions.problem import Problem
from local_sagemaker.steps.step import RetryPolicy

EXCEPTION_TYPES = (
    "Step.SERVICE_FAULT", "Step.THROTTLING", "SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
)  # fmt: skip

_POLICY_NUMBERS = {"IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 1, "ExpireAfterMin": 1}


def check_retry_policies(policies: object, name: str) -> tuple[RetryPolicy, ...]:
    """Check a step's RetryPolicies; raises Problem."""
    if policies is None:
        return ()
    if not isinstance(policies, list):
        raise Problem(f"RetryPolicies of step '{name}' must be a list")
    for policy in policies:
        if not isinstance(policy, dict):
            raise Problem(f"RetryPolicies of step '{name}' must contain only objects")
        unknown = sorted(set(policy) - {"ExceptionType", *_POLICY_NUMBERS})
        if unknown:
            raise Problem(f"RetryPolicies of step '{name}' have the unknown member '{unknown[0][:200]}'")
        kinds = policy.get("ExceptionType")
        if not isinstance(kinds, list) or not kinds or any(kind not in EXCEPTION_TYPES for kind in kinds):
            raise Problem(
                f"ExceptionType in RetryPolicies of step '{name}' must be a list of {', '.join(EXCEPTION_TYPES)}"
            )
        for key, low in _POLICY_NUMBERS.items():
            value = policy.get(key, low)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= 10**6:
                raise Problem(f"{key} in RetryPolicies of step '{name}' must be a number of at least {low}")
        if "MaxAttempts" in policy and "ExpireAfterMin" in policy:
            raise Problem(
                f"RetryPolicies of step '{name}' have both MaxAttempts and ExpireAfterMin: one of them ends a policy"
            )
    return tuple(policies)
