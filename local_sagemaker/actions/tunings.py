"""Create, Describe, List, Stop and Delete for tuning jobs, and the list of their training jobs."""

from __future__ import annotations

from local_sagemaker.actions import jobs
from local_sagemaker.actions.context import Context
from local_sagemaker.actions.paging import Query, page
from local_sagemaker.actions.registry import action
from local_sagemaker.errors import ResourceInUse
from local_sagemaker.json_text import without_none
from local_sagemaker.store import tunings
from local_sagemaker.store.jobs import TUNING
from local_sagemaker.types import Request, Response

_SUMMARY = (
    "HyperParameterTuningJobName", "HyperParameterTuningJobArn", "HyperParameterTuningJobStatus", "CreationTime",
    "HyperParameterTuningEndTime", "LastModifiedTime", "TrainingJobStatusCounters", "ObjectiveStatusCounters",
)  # fmt: skip
_SORT = {
    "Name": "name", "CreationTime": "created", "Status": "status", "FinalObjectiveMetricValue": "objective",
    None: "name",
}  # fmt: skip


@action
def create_hyper_parameter_tuning_job(context: Context, request: Request) -> Response:
    """Create a tuning job."""
    return jobs.create(context, request, TUNING)


@action
def describe_hyper_parameter_tuning_job(context: Context, request: Request) -> Response:
    """Describe a tuning job."""
    connection = context.db.read()
    return tunings.describe(connection, jobs.find(connection, request, TUNING))


@action
def list_hyper_parameter_tuning_jobs(context: Context, request: Request) -> Response:
    """Tuning jobs, newest first by default."""
    rows, token = jobs.list_rows(context, request, TUNING)
    found = []
    for row in rows:
        description = tunings.describe(context.db.read(), row)
        config = description["HyperParameterTuningJobConfig"]
        summary = {member: description.get(member) for member in _SUMMARY}
        found.append(
            without_none({**summary, "Strategy": config["Strategy"], "ResourceLimits": config["ResourceLimits"]})
        )
    return {"HyperParameterTuningJobSummaries": found, **token}


@action
def list_training_jobs_for_hyper_parameter_tuning_job(context: Context, request: Request) -> Response:
    """The training jobs of a tuning job, by default sorted by name. Sorted by objective, only those that have one."""
    connection = context.db.read()
    tuning = jobs.find(connection, request, TUNING)
    query = Query("jobs")
    query.add("tuning = ?", tuning["arn"])
    if request.get("StatusEquals"):
        query.add("status = ?", request["StatusEquals"])
    sort = _SORT[request.get("SortBy")]
    if sort == "objective":
        query.add("objective IS NOT NULL")
    descending = request.get("SortOrder", "Ascending") == "Descending"
    rows, token = page(connection, query, request, sort=sort, descending=descending)
    return {"TrainingJobSummaries": [tunings.summary(tuning, row) for row in rows], **token}


@action
def stop_hyper_parameter_tuning_job(context: Context, request: Request) -> Response:
    """Stop a tuning job and its training jobs."""
    return jobs.stop(context, request, TUNING)


@action
def delete_hyper_parameter_tuning_job(context: Context, request: Request) -> Response:
    """Delete a tuning job that has ended, but not its training jobs."""
    with context.db.write() as connection:
        row = jobs.find(connection, request, TUNING)
        if row["live"]:
            raise ResourceInUse(
                f"The tuning job {row['name']} is in status {row['status']}: stop it before it can be deleted."
            )
        connection.execute("DELETE FROM tags WHERE arn = ?", (row["arn"],))
        connection.execute("DELETE FROM jobs WHERE arn = ?", (row["arn"],))
    return {}
