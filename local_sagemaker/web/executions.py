"""The pages of all executions and of one execution."""

from __future__ import annotations

import json
import sqlite3
from urllib.parse import quote

from local_sagemaker.actions.context import Context
from local_sagemaker.expressions.values import as_text
from local_sagemaker.web import graph
from local_sagemaker.web import listing as pages
from local_sagemaker.web.layout import frame
from local_sagemaker.web.markup import Markup, duration, moment, pairs, status, table, tag

_LIVE = ("Executing", "Stopping")


def listing(context: Context, place: pages.Place) -> Markup:
    """The executions of all pipelines, the newest first."""
    select = "SELECT e.*, p.name AS pipeline_name FROM executions e JOIN pipelines p ON p.arn = e.pipeline"
    page = pages.read(context.db.read(), select, "e.seq", place)
    if not page.rows:
        empty = "No older entries." if page.newer else "No execution has been started yet."
        return frame("Executions", tag("p", empty, class_="none"), page.links("/"))
    lines = [
        [
            tag("a", row["display_name"] or row["id"], href=f"/ui/executions/{row['id']}"),
            row["pipeline_name"],
            row["version"],
            status(row["status"]),
            moment(row["created"]),
            duration(row["created"], row["modified"]) if row["status"] not in _LIVE else "",
        ]
        for row in page.rows
    ]
    body = table(["Execution", "Pipeline", "Version", "Status", "Started (UTC)", "Took"], lines)
    live = any(row["status"] in _LIVE for row in page.rows)
    return frame("Executions", body, page.links("/"), refresh_seconds=5 if live else None)


def detail(context: Context, execution_id: str) -> Markup | None:
    """One execution: graph, steps, parameters, definition."""
    connection = context.db.read()
    row = connection.execute(
        "SELECT e.*, p.name AS pipeline_name FROM executions e JOIN pipelines p ON p.arn = e.pipeline WHERE e.id = ?",
        (execution_id,),
    ).fetchone()
    if row is None:
        return None
    definition = context.engine.definition(connection, row["pipeline"], row["version"])
    steps = connection.execute("SELECT * FROM steps WHERE execution = ? ORDER BY seq", (row["arn"],)).fetchall()
    facts = {
        "Status": status(row["status"]),
        "Pipeline": f"{row['pipeline_name']}, version {row['version']}",
        "Description": row["description"],
        "Started (UTC)": moment(row["created"]),
        "Took": duration(row["created"], row["modified"]) if row["status"] not in _LIVE else None,
        "Failure reason": row["failure_reason"],
        "ARN": row["arn"],
    }
    values = {name: as_text(value) for name, value in json.loads(row["parameters"]).items()}
    lines = [_line(step) for step in steps]
    return frame(
        row["display_name"] or row["id"],
        pairs(facts),
        tag("h2", "Steps"),
        graph.draw(definition, {step["name"]: step["status"] for step in steps}),
        table(["Step", "Type", "Status", "Started (UTC)", "Took", "Attempts", "Job", "Reason"], lines)
        if lines
        else None,
        [tag("h2", "Parameters"), pairs(values)] if values else None,
        refresh_seconds=2 if row["status"] in _LIVE else None,
    )


def _line(step: sqlite3.Row) -> list[object]:
    job = ""
    if step["job"]:
        kind, _, name = step["job"].rsplit(":", 1)[-1].partition("-job/")
        job = tag("a", "metrics and log", href=f"/ui/jobs/{kind.removeprefix('hyper-parameter-')}/{quote(name)}")
    source = step["cache_source"]
    reason = f"cached result of execution {source.rsplit('/', 1)[-1]}" if source else step["failure_reason"]
    return [
        step["name"], step["type"], status(step["status"]), moment(step["started"]),
        duration(step["started"], step["ended"]), step["attempt"], job, reason,
    ]  # fmt: skip
