"""What the API side hands to the job side, and what it hears back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from local_sagemaker.identifiers import REGION, region_of

JobKind = Literal["training", "processing", "tuning"]


@dataclass(frozen=True)
class JobSpec:
    """One job as its Create call described it, every pipeline variable resolved."""

    kind: JobKind
    name: str
    arn: str
    request: dict[str, Any]
    """The resolved request of Create*Job."""
    owner: str = ""
    """The execution or tuning job that it belongs to, for a fair queue; empty for a job that was created by itself."""


def job_folder(data_dir: Path, kind: str, name: str, arn: str) -> Path:
    """Where a job's files are; names are unique in a region, and other regions than the server's own have a folder."""
    region = region_of(arn)
    return data_dir / "jobs" / kind / name if region == REGION else data_dir / "jobs" / region / kind / name


class JobEvents(Protocol):
    """Where the supervisor reports; called from its threads, and durable when a call returns."""

    def changed(self, arn: str, changes: Mapping[str, Any]) -> None:
        """Take the members of Describe{Training,Processing}Job that changed, under the service's own names.

        Times are aware datetimes in UTC. Training: TrainingJobStatus, SecondaryStatus, SecondaryStatusTransitions (the
        whole list), StatusMessage, FailureReason, ModelArtifacts, FinalMetricDataList, TrainingStartTime,
        TrainingEndTime, TrainingTimeInSeconds, BillableTimeInSeconds, LastModifiedTime. Processing:
        ProcessingJobStatus, FailureReason, ExitMessage, ProcessingStartTime, ProcessingEndTime, LastModifiedTime.
        """
