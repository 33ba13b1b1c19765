"""Names the server gives: account, region, role, ARNs, ids, and the one clock."""

from __future__ import annotations

import secrets
import string
import time
from typing import Any

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
ROLE_NAME = "LocalSageMakerRole"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role/{ROLE_NAME}"
USER: dict[str, Any] = {"IamIdentity": {"Arn": f"arn:aws:iam::{ACCOUNT_ID}:user/local", "PrincipalId": "LOCAL"}}
"""Who made everything here: CreatedBy and LastModifiedBy."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine reaches."""

_LOWER = string.ascii_lowercase + string.digits
_MIXED = string.ascii_letters + string.digits
_JOB_NAME_LENGTH = 63


def now() -> float:
    """Seconds since the epoch, in the milliseconds that the service's own timestamps have."""
    return round(time.time(), 3)


def sagemaker_arn(resource: str) -> str:
    """The ARN of a SageMaker resource such as `pipeline/name`."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:{resource}"


def pipeline_arn(name: str) -> str:
    """The ARN of a pipeline, with the name as it was given; comparisons ignore case."""
    return sagemaker_arn(f"pipeline/{name}")


def new_execution_id() -> str:
    """Twelve lower-case letters and digits, as in the service's execution ARNs."""
    return "".join(secrets.choice(_LOWER) for _ in range(12))


def step_job_name(execution_id: str, step_name: str, prefix: str | None = None) -> str:
    """The name of a step's job: `pipelines-<execution>-<step>-<random>`, at most 63 characters.

    `prefix` is the job name in the step's own arguments, which the service keeps when the pipeline asks for it.
    """
    suffix = "".join(secrets.choice(_MIXED) for _ in range(10))
    base = prefix or f"pipelines-{execution_id}-{step_name.replace('_', '-')}"
    return f"{base[: _JOB_NAME_LENGTH - len(suffix) - 1].rstrip('-')}-{suffix}"
