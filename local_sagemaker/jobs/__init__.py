"""The job side: each training or processing job as supervised processes under the SageMaker container contract.

Names are handed out lazily: the small programs under `runner/` import this package in every job's process and must not
pay for boto3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_sagemaker.jobs.spec import JobEvents, JobKind, JobSpec
    from local_sagemaker.jobs.supervisor import JobSupervisor

_HOMES = {
    "JobEvents": "spec",
    "JobKind": "spec",
    "JobSpec": "spec",
    "JobSupervisor": "supervisor",
}
__all__ = ["JobEvents", "JobKind", "JobSpec", "JobSupervisor"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"local_sagemaker.jobs.{_HOMES[name]}"), name)
