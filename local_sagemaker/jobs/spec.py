"""What the API passes to the supervisor, and what the supervisor reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, NotRequired, Protocol, TypedDict

from local_sagemaker.identifiers import REGION, region_of
from local_sagemaker.types import Request

JobKind = Literal["training", "processing", "tuning"]


@dataclass(frozen=True)
class JobSpec:
    """A job, with all pipeline variables resolved."""

    kind: JobKind
    name: str
    arn: str
    request: Request
    """The resolved request of Create{Training,Processing,HyperParameterTuning}Job."""
    owner: str = ""
    """The execution or tuning job that created it, for the fair queue; empty for a job created by a client."""


def job_folder(data_dir: Path, kind: str, name: str, arn: str) -> Path:
    """A job's folder. Names are unique per region, so regions other than the default one have subfolders."""
    region = region_of(arn)
    return data_dir / "jobs" / kind / name if region == REGION else data_dir / "jobs" / region / kind / name


class Transition(TypedDict):
    """One of SecondaryStatusTransitions."""

    Status: str
    StartTime: datetime
    EndTime: NotRequired[datetime]
    StatusMessage: str


class FinalMetric(TypedDict):
    """One of FinalMetricDataList."""

    MetricName: str
    Value: float
    Timestamp: datetime


class JobChanges(TypedDict, total=False):
    """The members of Describe{Training,Processing}Job that changed. Times are aware datetimes in UTC."""

    TrainingJobStatus: str
    SecondaryStatus: str
    SecondaryStatusTransitions: list[Transition]
    """All transitions since the job was created."""
    StatusMessage: str
    ModelArtifacts: dict[str, str]
    FinalMetricDataList: list[FinalMetric]
    TrainingStartTime: datetime
    TrainingEndTime: datetime
    TrainingTimeInSeconds: int
    BillableTimeInSeconds: int
    ProcessingJobStatus: str
    ProcessingStartTime: datetime
    ProcessingEndTime: datetime
    ExitMessage: str
    FailureReason: str
    LastModifiedTime: datetime


class JobEvents(Protocol):
    """Where the supervisor reports; called from its threads."""

    def changed(self, arn: str, changes: JobChanges) -> None:
        """Store what changed; durable when the call returns."""
