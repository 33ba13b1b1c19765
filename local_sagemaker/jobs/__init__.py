"""The job side: each training or processing job as supervised processes under the SageMaker container contract."""

from local_sagemaker.jobs.spec import JobEvents, JobKind, JobSpec
from local_sagemaker.jobs.supervisor import JobSupervisor

__all__ = ["JobEvents", "JobKind", "JobSpec", "JobSupervisor"]
