"""Tuning jobs and their training jobs in the database, and their descriptions.

A tuning job is a row of `jobs`. Its training jobs are rows that refer to it; each is an attempt at one trial. If a
training job is lost with its server, another one repeats the trial with the same values.
"""

from __future__ import annotations

import json
import secrets
import sqlite3

from local_sagemaker.jobs.spec import JobSpec
from local_sagemaker.json_text import dumps, without_none
from local_sagemaker.requests.instances import Capacity
from local_sagemaker.requests.tuning import objective_of, training_request
from local_sagemaker.store import jobs as job_records
from local_sagemaker.store import tags as tag_records
from local_sagemaker.types import JsonObject

_BEST_JOBS = 50
"""How many training jobs a step's properties contain (the SDK's TuningStep.get_top_model_s3_uri)."""


def is_lost(row: sqlite3.Row) -> bool:
    """Whether a training job ended with its server."""
    return bool(row["status"] == "Failed" and json.loads(row["description"]).get("FailureReason") == job_records.LOST)


def training_jobs(connection: sqlite3.Connection, arn: str) -> list[sqlite3.Row]:
    """The training jobs of a tuning job, oldest first."""
    return connection.execute("SELECT * FROM jobs WHERE tuning = ? ORDER BY seq", (arn,)).fetchall()


def insert_training_job(
    connection: sqlite3.Connection, tuning: sqlite3.Row, trial: int, values: dict[str, str], capacity: Capacity
) -> JobSpec:
    """Store a training job; the caller submits it after the commit."""
    number = connection.execute("SELECT count(*) FROM jobs WHERE tuning = ?", (tuning["arn"],)).fetchone()[0] + 1
    name = f"{tuning['name']}-{number:03}-{secrets.token_hex(4)}"
    request = training_request(json.loads(tuning["request"]), name, values)
    spec = job_records.insert(connection, job_records.TRAINING, request, capacity, owner=tuning["arn"])
    connection.execute(
        "UPDATE jobs SET tuning = ?, trial = ?, tuned = ?,"
        " description = json_set(description, '$.TuningJobArn', ?) WHERE arn = ?",
        (tuning["arn"], trial, dumps(values), tuning["arn"], spec.arn),
    )
    tag_records.write(connection, spec.arn, request.get("Tags") or [])
    return spec


def write_objective(connection: sqlite3.Connection, row: sqlite3.Row, description: JsonObject) -> None:
    """Store the objective of a training job that has just ended: the metric's last value."""
    tuning = connection.execute("SELECT request FROM jobs WHERE arn = ?", (row["tuning"],)).fetchone()
    if tuning is None or description["TrainingJobStatus"] != "Completed":
        return
    metric = objective_of(json.loads(tuning["request"]))["MetricName"]
    found = [item["Value"] for item in description.get("FinalMetricDataList") or [] if item["MetricName"] == metric]
    if found:
        connection.execute("UPDATE jobs SET objective = ? WHERE arn = ?", (found[-1], row["arn"]))


def summaries(connection: sqlite3.Connection, tuning: sqlite3.Row, limit: int = _BEST_JOBS) -> list[JsonObject]:
    """The training jobs with an objective, best first."""
    way = "DESC" if objective_of(json.loads(tuning["request"]))["Type"] == "Maximize" else "ASC"
    rows = connection.execute(
        f"SELECT * FROM jobs WHERE tuning = ? AND objective IS NOT NULL ORDER BY objective {way}, seq LIMIT ?",  # noqa: S608
        (tuning["arn"], limit),
    )
    return [summary(tuning, row) for row in rows]


def progress(connection: sqlite3.Connection, tuning: sqlite3.Row) -> JsonObject:
    """The members of Describe that are computed from the training jobs."""
    rows = training_jobs(connection, tuning["arn"])
    lost = sum(is_lost(row) for row in rows)
    succeeded = sum(row["objective"] is not None for row in rows)
    live = sum(row["live"] for row in rows)
    found: JsonObject = {
        "TrainingJobStatusCounters": {
            "Completed": sum(row["status"] == "Completed" for row in rows),
            "InProgress": live,
            "RetryableError": lost,
            "NonRetryableError": sum(row["status"] == "Failed" for row in rows) - lost,
            "Stopped": sum(row["status"] == "Stopped" for row in rows),
        },
        "ObjectiveStatusCounters": {"Succeeded": succeeded, "Pending": live, "Failed": len(rows) - succeeded - live},
    }
    if best := summaries(connection, tuning, 1):
        found["BestTrainingJob"] = best[0]
    return found


def describe(connection: sqlite3.Connection, tuning: sqlite3.Row) -> JsonObject:
    """The response of Describe; computed while the tuning job is running, then stored."""
    description: JsonObject = json.loads(tuning["description"])
    return description | progress(connection, tuning) if tuning["live"] else description


def summary(tuning: sqlite3.Row, row: sqlite3.Row) -> JsonObject:
    """A training job's summary in the service's format."""
    job = json.loads(row["description"])
    objective = None
    if row["objective"] is not None:
        objective = {**objective_of(json.loads(tuning["request"])), "Value": row["objective"]}
    ended = "Succeeded" if objective else "Failed"
    return without_none(
        {
            "TrainingJobName": row["name"],
            "TrainingJobArn": row["arn"],
            "CreationTime": row["created"],
            "TrainingStartTime": job.get("TrainingStartTime"),
            "TrainingEndTime": job.get("TrainingEndTime"),
            "TrainingJobStatus": row["status"],
            "TunedHyperParameters": json.loads(row["tuned"]),
            "FailureReason": job.get("FailureReason"),
            "FinalHyperParameterTuningJobObjectiveMetric": objective,
            "ObjectiveStatus": "Pending" if row["live"] else ended,
        }
    )
