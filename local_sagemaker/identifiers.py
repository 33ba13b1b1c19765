"""Names the server gives: account, region, role, ARNs, ids, and the one clock."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
"""Of the clients that this server's own variables make, and of what nobody asked for."""
ROLE_NAME = "LocalSageMakerRole"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role/{ROLE_NAME}"
ROLE_ID, SESSION_NAME = "AROALOCALSAGEMAKER000", "local"
"""The one caller is a session of the role, as in SageMaker Studio: there the SDK finds a role that nobody passed."""

_LOWER = string.ascii_lowercase + string.digits
_MIXED = string.ascii_letters + string.digits
JOB_NAME_LENGTH = 63
"""Characters of the name of a job that a step makes."""


def now() -> float:
    """Seconds since the epoch, in the milliseconds that the service's own timestamps have."""
    return round(time.time(), 3)


_region: ContextVar[str] = ContextVar("region", default=REGION)


@contextmanager
def in_region(region: str) -> Iterator[None]:
    """Give and look up names in the region that a request was signed for, or that an ARN is of."""
    token = _region.set(region)
    try:
        yield
    finally:
        _region.reset(token)


def current_region() -> str:
    """The region of the request, or of the execution, that is being worked on."""
    return _region.get()


def region_of(arn: str) -> str:
    """The region in an ARN."""
    return arn.split(":")[3]


def partition_of(region: str) -> str:
    """The partition that a region belongs to."""
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
    """CreatedBy and LastModifiedBy of everything here."""
    arn = f"arn:{partition_of(current_region())}:sts::{ACCOUNT_ID}:assumed-role/{ROLE_NAME}/{SESSION_NAME}"
    return {"IamIdentity": {"Arn": arn, "PrincipalId": f"{ROLE_ID}:{SESSION_NAME}"}}


def pipeline_arn(name: str) -> str:
    """The ARN of a pipeline, with the name as it was given; comparisons ignore case."""
    return sagemaker_arn(f"pipeline/{name}")


def new_execution_id() -> str:
    """Twelve lower-case letters and digits, as in the service's execution ARNs."""
    return "".join(secrets.choice(_LOWER) for _ in range(12))


def step_job_name(execution_id: str, step_name: str, prefix: str | None = None, *, most: int = JOB_NAME_LENGTH) -> str:
    """The name of a step's job: `pipelines-<execution>-<step>-<random>`, at most `most` characters.

    `prefix` is the job name in the step's own arguments, which the service keeps when the pipeline asks for it. Where
    there is no room, `pipelines-` is left out, as for tuning jobs.
    """
    suffix = "".join(secrets.choice(_MIXED) for _ in range(10))
    start = "pipelines-" if most >= JOB_NAME_LENGTH else ""
    base = prefix or f"{start}{execution_id}-{step_name.replace('_', '-')}"
    return f"{base[: most - len(suffix) - 1].rstrip('-')}-{suffix}"
