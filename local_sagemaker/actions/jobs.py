"""Create, Describe, List and Stop for training and processing jobs, and functions shared with tuning jobs."""

from __future__ import annotations

import json
import sqlite3

from local_sagemaker.actions.context import Context
from local_sagemaker.actions.paging import Query, page
from local_sagemaker.actions.registry import action
from local_sagemaker.errors import ResourceNotFound, ValidationException
from local_sagemaker.json_text import without_none
from local_sagemaker.store import jobs as job_records
from local_sagemaker.store import tags as tag_records
from local_sagemaker.store.jobs import PROCESSING, TRAINING, TUNING, Kind
from local_sagemaker.types import Request, Response


def create(context: Context, request: Request, kind: Kind) -> Response:
    """Store a job and submit it."""
    name = request[kind.name_member]
    problems = context.checks.problems(f"Create{kind.word}Job", request)
    if problems:
        raise ValidationException("; ".join(problems))
    with context.db.write() as connection:
        job_records.check_name_is_free(connection, kind, name)
        spec = job_records.insert(connection, kind, request, context.checks.capacity)
        tag_records.write(connection, spec.arn, request.get("Tags") or [])
    context.engine.submit(spec)
    return {kind.arn_member: spec.arn}


def find(connection: sqlite3.Connection, request: Request, kind: Kind) -> sqlite3.Row:
    """The job that a request names."""
    name = request[kind.name_member]
    row = connection.execute("SELECT * FROM jobs WHERE arn = ?", (kind.arn(name),)).fetchone()
    if row is None:
        if kind is TUNING:
            raise ResourceNotFound(f"Amazon SageMaker can't find a tuning job with the name {name}.")
        # for a missing job, the service returns ValidationException or ResourceNotFound, see docs/fidelity.md
        if kind is PROCESSING:
            raise ValidationException(f"Could not find requested job with name: {name}")
        raise ValidationException("Requested resource not found.")
    return row  # type: ignore[no-any-return]


def _describe(context: Context, request: Request, kind: Kind) -> Response:
    description: Response = json.loads(find(context.db.read(), request, kind)["description"])
    return description


def stop(context: Context, request: Request, kind: Kind) -> Response:
    """Stop a job."""
    with context.db.write() as connection:
        row = find(connection, request, kind)
        if row["status"] not in ("InProgress", "Stopping"):
            raise ValidationException(f"The request was rejected because the {kind.noun} is in status {row['status']}.")
        job_records.mark_as_stopping(connection, row, kind)
    context.engine.stop_job(row["arn"])
    return {}


_SORT = {"Name": "name", "CreationTime": "created", "Status": "status", None: "created"}


def list_rows(context: Context, request: Request, kind: Kind) -> tuple[list[sqlite3.Row], dict[str, str]]:
    """One page of the jobs of a kind that match a List request."""
    query = Query("jobs")
    query.add("kind = ?", kind.key)
    query.add_region()
    if request.get("NameContains"):
        query.add("instr(lower(name), lower(?)) > 0", request["NameContains"])
    if request.get("StatusEquals"):
        query.add("status = ?", request["StatusEquals"])
    if request.get("WarmPoolStatusEquals") or request.get("TrainingPlanArnEquals"):
        query.add("0")  # no job here has a warm pool or a training plan
    query.add_range("created", request.get("CreationTimeAfter"), request.get("CreationTimeBefore"))
    query.add_range("modified", request.get("LastModifiedTimeAfter"), request.get("LastModifiedTimeBefore"))
    descending = request.get("SortOrder", "Descending") == "Descending"
    return page(context.db.read(), query, request, sort=_SORT[request.get("SortBy")], descending=descending)


def _list(context: Context, request: Request, kind: Kind) -> Response:
    rows, token = list_rows(context, request, kind)
    members = [
        kind.name_member,
        kind.arn_member,
        "CreationTime",
        f"{kind.word}EndTime",
        "LastModifiedTime",
        kind.status_member,
    ]
    members += ["SecondaryStatus"] if kind is TRAINING else ["FailureReason", "ExitMessage"]
    summaries = [{member: json.loads(row["description"]).get(member) for member in members} for row in rows]
    return {f"{kind.word}JobSummaries": [without_none(summary) for summary in summaries], **token}


@action
def create_training_job(context: Context, request: Request) -> Response:
    """Queue a training job."""
    return create(context, request, TRAINING)


@action
def describe_training_job(context: Context, request: Request) -> Response:
    """Describe a training job."""
    return _describe(context, request, TRAINING)


@action
def list_training_jobs(context: Context, request: Request) -> Response:
    """Training jobs, newest first by default."""
    return _list(context, request, TRAINING)


@action
def stop_training_job(context: Context, request: Request) -> Response:
    """Stop a training job."""
    return stop(context, request, TRAINING)


@action
def create_processing_job(context: Context, request: Request) -> Response:
    """Queue a processing job."""
    return create(context, request, PROCESSING)


@action
def describe_processing_job(context: Context, request: Request) -> Response:
    """Describe a processing job."""
    return _describe(context, request, PROCESSING)


@action
def list_processing_jobs(context: Context, request: Request) -> Response:
    """Processing jobs, newest first by default."""
    return _list(context, request, PROCESSING)


@action
def stop_processing_job(context: Context, request: Request) -> Response:
    """Stop a processing job."""
    return stop(context, request, PROCESSING)
