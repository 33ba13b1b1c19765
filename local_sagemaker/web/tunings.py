"""The page of a tuning job: its training jobs with hyperparameters and objective, best first."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

from local_sagemaker.actions.context import Context
from local_sagemaker.store import tunings
from local_sagemaker.types import JsonObject
from local_sagemaker.web.layout import frame
from local_sagemaker.web.links import execution_link
from local_sagemaker.web.markup import Markup, duration, moment, pairs, status, table, tag


def detail(context: Context, row: sqlite3.Row) -> Markup:
    """The page of a tuning job."""
    connection = context.db.read()
    job = tunings.describe(connection, row)
    config = job["HyperParameterTuningJobConfig"]
    objective = config["HyperParameterTuningJobObjective"]
    end = job.get("HyperParameterTuningEndTime")
    facts = {
        "Status": status(row["status"]),
        "Execution": execution_link(context, row["arn"]),
        "Strategy": config["Strategy"],
        "Objective": f"{objective['Type']} {objective['MetricName']}",
        "Started (UTC)": moment(row["created"]),
        "Took": duration(row["created"], end),
        "Failure reason": job.get("FailureReason"),
        "ARN": row["arn"],
    }
    best = {summary["TrainingJobName"]: summary for summary in tunings.summaries(connection, row)}
    rest = [tunings.summary(row, found) for found in tunings.training_jobs(connection, row["arn"])]
    order = [*best.values(), *(summary for summary in rest if summary["TrainingJobName"] not in best)]
    return frame(
        row["name"],
        pairs(facts),
        [
            tag("h2", "Training jobs"),
            table(["Job", "Status", objective["MetricName"], "Hyperparameters"], _lines(order)),
        ]
        if order
        else None,
        refresh_seconds=2 if row["live"] else None,
    )


def _lines(order: list[JsonObject]) -> list[list[object]]:
    return [
        [
            tag("a", summary["TrainingJobName"], href=f"/ui/jobs/training/{quote(summary['TrainingJobName'])}"),
            status(summary["TrainingJobStatus"]),
            summary.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value", ""),
            ", ".join(f"{name}={value}" for name, value in sorted(summary["TunedHyperParameters"].items())),
        ]
        for summary in order
    ]
