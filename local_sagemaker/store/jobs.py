"""Jobs in the database: created from a Create request, changed by the supervisor's reports."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from local_sagemaker import service_model
from local_sagemaker.errors import ResourceInUse
from local_sagemaker.identifiers import now, sagemaker_arn
from local_sagemaker.jobs.spec import JobKind, JobSpec
from local_sagemaker.json_text import dumps, with_epoch_seconds
from local_sagemaker.requests.instances import Capacity, with_selection
from local_sagemaker.requests.job_rules import DEFAULT_RUNTIME_SECONDS
from local_sagemaker.types import JsonObject, Request


@dataclass(frozen=True)
class Kind:
    """The names that differ between kinds of job."""

    key: JobKind
    word: str
    """In action names: Create<word>Job."""
    step_member: str
    """The member in a step's Metadata."""
    resource: str
    """The resource type in an ARN."""
    noun: str
    """The name in the service's messages."""

    @property
    def name_member(self) -> str:
        """The member with the job's name."""
        return f"{self.word}JobName"

    @property
    def arn_member(self) -> str:
        """The member with the job's ARN."""
        return f"{self.word}JobArn"

    @property
    def status_member(self) -> str:
        """The member with the job's status."""
        return f"{self.word}JobStatus"

    def arn(self, name: str) -> str:
        """The ARN of a job of this kind."""
        return sagemaker_arn(f"{self.resource}/{name}")


TRAINING = Kind("training", "Training", "TrainingJob", "training-job", "training job")
PROCESSING = Kind("processing", "Processing", "ProcessingJob", "processing-job", "processing job")
TUNING = Kind("tuning", "HyperParameterTuning", "TuningJob", "hyper-parameter-tuning-job", "hyperparameter tuning job")
KINDS: dict[str, Kind] = {kind.key: kind for kind in (TRAINING, PROCESSING, TUNING)}

ENDED = ("Completed", "Failed", "Stopped")
LOST = (
    "InternalServerError: the local SageMaker server ended while this job was running (it was killed or the machine"
    " went down); the job's processes were ended with it"
)
_REASON_LENGTH = 1024


def is_tuning(arn: str) -> bool:
    """Whether an ARN is a tuning job's."""
    return f":{TUNING.resource}/" in arn


def members_of_describe(kind: Kind) -> frozenset[str]:
    """The members of Describe for a job of this kind."""
    return frozenset(service_model.output_members(f"Describe{kind.word}Job"))


def check_name_is_free(connection: sqlite3.Connection, kind: Kind, name: str) -> None:
    """Raise ResourceInUse if a job with that name exists."""
    if connection.execute("SELECT 1 FROM jobs WHERE arn = ?", (kind.arn(name),)).fetchone():
        raise ResourceInUse(
            f"{kind.noun.capitalize()} names must be unique within an AWS account and region, and a {kind.noun} with"
            f" this name already exists ({kind.arn(name)})"
        )


def insert(
    connection: sqlite3.Connection, kind: Kind, request: Request, capacity: Capacity, *, owner: str = ""
) -> JobSpec:
    """Store a new job. The caller has checked that its name is free, and submits it after the commit.

    `owner` is the execution or tuning job that creates it.
    """
    name, moment = request[kind.name_member], now()
    arn, chosen = kind.arn(name), capacity.choose(kind.key, request)
    told = with_selection(kind.key, request, chosen)
    description = {key: value for key, value in told.items() if key in members_of_describe(kind)}
    description |= {
        kind.arn_member: arn,
        kind.status_member: "InProgress",
        "CreationTime": moment,
        "LastModifiedTime": moment,
    }
    if kind is not TUNING:
        default = {"MaxRuntimeInSeconds": DEFAULT_RUNTIME_SECONDS}
        description["StoppingCondition"] = default | (request.get("StoppingCondition") or {})
    if kind is TRAINING:
        first = {"Status": "Starting", "StartTime": moment, "StatusMessage": "Waiting for a free slot"}
        description |= {"SecondaryStatus": "Starting", "SecondaryStatusTransitions": [first]}
    connection.execute(
        "INSERT INTO jobs (arn, kind, name, status, live, begun, request, description, created, modified)"
        " VALUES (?, ?, ?, 'InProgress', 1, 0, ?, ?, ?, ?)",
        (arn, kind.key, name, dumps(chosen), dumps(description), moment, moment),
    )
    return JobSpec(kind.key, name, arn, chosen, owner)


def spec_of(row: sqlite3.Row) -> JobSpec:
    """The JobSpec for a row; its column `owner` is the execution or tuning job that created it."""
    return JobSpec(row["kind"], row["name"], row["arn"], json.loads(row["request"]), row["owner"] or "")


def apply_changes(connection: sqlite3.Connection, row: sqlite3.Row, changes: Mapping[str, object]) -> JsonObject | None:
    """Store a job's changes; return its description if they end it. A job that has ended does not change."""
    if not row["live"]:
        return None
    kind = KINDS[row["kind"]]
    description: JsonObject = json.loads(row["description"])
    moment = now()
    known = members_of_describe(kind)
    changes = {key: with_epoch_seconds(value) for key, value in changes.items() if key in known and value is not None}
    if row["status"] == "Stopping" and changes.get(kind.status_member) == "InProgress":
        # reported before the stop arrived
        changes = {key: value for key, value in changes.items() if key not in (kind.status_member, "SecondaryStatus")}
    if reason := changes.get("FailureReason"):
        changes["FailureReason"] = str(reason)[:_REASON_LENGTH]
    description |= {"LastModifiedTime": moment, **changes}
    status = description[kind.status_member]
    ended = status in ENDED
    connection.execute(
        "UPDATE jobs SET status = ?, live = ?, begun = 1, description = ?, modified = ? WHERE arn = ?",
        (status, int(not ended), dumps(description), moment, row["arn"]),
    )
    return description if ended else None


def mark_as_stopping(connection: sqlite3.Connection, row: sqlite3.Row, kind: Kind) -> None:
    """Set a job's status to Stopping."""
    description = json.loads(row["description"]) | {kind.status_member: "Stopping", "LastModifiedTime": now()}
    if kind is TRAINING:
        description["SecondaryStatus"] = "Stopping"
    connection.execute(
        "UPDATE jobs SET status = 'Stopping', description = ?, modified = ? WHERE arn = ? AND live = 1",
        (dumps(description), now(), row["arn"]),
    )


def ending_changes(row: sqlite3.Row, status: str, message: str) -> JsonObject:
    """The changes that end a job unknown to the supervisor: Failed with `message`, or Stopped."""
    kind, moment = KINDS[row["kind"]], now()
    changes: JsonObject = {kind.status_member: status, f"{kind.word}EndTime": moment}
    if status == "Failed":
        changes["FailureReason"] = message
    if kind is TRAINING:
        transitions = json.loads(row["description"]).get("SecondaryStatusTransitions") or []
        if transitions:
            transitions[-1].setdefault("EndTime", moment)
        last = {"Status": status, "StartTime": moment, "EndTime": moment, "StatusMessage": message}
        changes |= {"SecondaryStatus": status, "SecondaryStatusTransitions": [*transitions, last]}
    return changes
