"""Account, region, role, ARNs and ids, and the clock."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
"""The default region, which the server's environment variables set for clients."""
ROLE_NAME = "LocalSageMakerRole"
ROLE_ID, SESSION_NAME = "AROALOCALSAGEMAKER000", "local"
"""The only caller is a session of the role, as in SageMaker Studio, so the SDK can determine the role."""

_LOWER = string.ascii_lowercase + string.digits
_MIXED = string.ascii_letters + string.digits
JOB_NAME_LENGTH = 63
"""Maximum length of the name of a step's job."""


def now() -> float:
    """Seconds since the epoch, rounded to milliseconds like the service's timestamps."""
    return round(time.time(), 3)


_region: ContextVar[str] = ContextVar("region", default=REGION)


@contextmanager
def in_region(region: str) -> Iterator[None]:
    """Set the current region: that of a request's signature, or of an ARN."""
    token = _region.set(region)
    try:
        yield
    finally:
        _region.reset(token)


def current_region() -> str:
    """The region of the current request or execution."""
    return _region.get()


def region_of(arn: str) -> str:
    """An ARN's region."""
    return arn.split(":")[3]


def partition_of(region: str) -> str:
    """The AWS partition of a region."""
    return next((name for begin, name in _PARTITIONS.items() if region.startswith(begin)), "aws")


_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


def regional_arn(service: str, resource: str) -> str:
    """An ARN in the current region."""
    region = current_region()
    return f"arn:{partition_of(region)}:{service}:{region}:{ACCOUNT_ID}:{resource}"


def sagemaker_arn(resource: str) -> str:
    """The ARN of a SageMaker resource such as `pipeline/name`, in the current region."""
    return regional_arn("sagemaker", resource)


def caller() -> dict[str, dict[str, str]]:
    """The value of CreatedBy and LastModifiedBy."""
    arn = f"arn:{partition_of(current_region())}:sts::{ACCOUNT_ID}:assumed-role/{ROLE_NAME}/{SESSION_NAME}"
    return {"IamIdentity": {"Arn": arn, "PrincipalId": f"{ROLE_ID}:{SESSION_NAME}"}}


def pipeline_arn(name: str) -> str:
    """A pipeline's ARN, with the name as given; comparisons ignore case."""
    return sagemaker_arn(f"pipeline/{name}")


def new_execution_id() -> str:
    """Twelve lower-case letters and digits, as in the service's execution ARNs."""
    return "".join(secrets.choice(_LOWER) for _ in range(12))


def step_job_name(execution_id: str, step_name: str, prefix: str | None = None, *, most: int = JOB_NAME_LENGTH) -> str:
    """A name for a step's job: `pipelines-<execution>-<step>-<random>`, with at most `most` characters.

    `prefix` is the job name in the step's arguments, if the pipeline uses custom prefixes. Short names, such as those
    of tuning jobs, omit `pipelines-`.
    """
    suffix = "".join(secrets.choice(_MIXED) for _ in range(10))
    start = "pipelines-" if most >= JOB_NAME_LENGTH else ""
    base = prefix or f"{start}{execution_id}-{step_name.replace('_', '-')}"
    return f"{base[: most - len(suffix) - 1].rstrip('-')}-{suffix}"
