"""The pages of all jobs and of one job: curves, logs, and the paths of its files."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from local_sagemaker.actions.context import Context
from local_sagemaker.job_files import open_file
from local_sagemaker.jobs.spec import job_folder
from local_sagemaker.s3.files import S3ReadError, object_path
from local_sagemaker.store.jobs import KINDS, TUNING
from local_sagemaker.types import JsonObject
from local_sagemaker.web import curves, tunings
from local_sagemaker.web import listing as pages
from local_sagemaker.web.layout import frame
from local_sagemaker.web.links import execution_link, tuning_link
from local_sagemaker.web.markup import Markup, duration, moment, pairs, status, table, tag

_TAIL_BYTES = 64 * 1024


def listing(context: Context, place: pages.Place) -> Markup:
    """The jobs of all kinds, the newest first."""
    page = pages.read(context.db.read(), "SELECT * FROM jobs", "seq", place)
    if not page.rows:
        empty = "No older entries." if page.newer else "No job has been created yet."
        return frame("Jobs", tag("p", empty, class_="none"), page.links("/ui/jobs"))
    lines = [
        [
            tag("a", row["name"], href=f"/ui/jobs/{row['kind']}/{quote(row['name'])}"),
            row["kind"],
            status(row["status"]),
            moment(row["created"]),
        ]
        for row in page.rows
    ]
    body = table(["Job", "Kind", "Status", "Created (UTC)"], lines)
    live = any(row["live"] for row in page.rows)
    return frame("Jobs", body, page.links("/ui/jobs"), refresh_seconds=5 if live else None)


def detail(context: Context, kind: str, name: str) -> Markup | None:
    """One job."""
    row = (
        context.db.read()
        .execute("SELECT * FROM jobs WHERE kind = ? AND name = ? ORDER BY seq DESC", (kind, name))
        .fetchone()
    )
    if row is None:
        return None
    if kind == TUNING.key:
        return tunings.detail(context, row)
    job = json.loads(row["description"])
    word = KINDS[kind].word
    start, end = job.get(f"{word}StartTime"), job.get(f"{word}EndTime")
    artifact = (job.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
    folder = job_folder(context.data_dir, kind, name, row["arn"])
    facts = {
        "Status": status(row["status"]),
        "Execution": execution_link(context, row["arn"]),
        "Tuning job": tuning_link(row["tuning"]),
        "Phase": job.get("SecondaryStatus"),
        "Started (UTC)": moment(start),
        "Took": duration(start, end),
        "Failure reason": job.get("FailureReason"),
        "Model artifact": artifact,
        "Local file": _file(context, artifact),
        **_outputs(context, job),
        "Folder": str(folder) if folder.is_dir() else None,
        "ARN": row["arn"],
    }
    hosts = sorted(folder.glob("host-*"))
    series = curves.read(hosts[0]) if hosts else {}
    return frame(
        name,
        pairs(facts),
        [tag("h2", "Metrics"), curves.draw(series)] if series else None,
        [tag("h2", "Hyperparameters"), pairs(job["HyperParameters"])] if job.get("HyperParameters") else None,
        [_log(host, anchor=None if number else "log") for number, host in enumerate(hosts)],
        refresh_seconds=2 if row["live"] else None,
    )


def _outputs(context: Context, job: JsonObject) -> dict[str, str | None]:
    """The paths of a processing job's outputs."""
    outputs = (job.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    places = {item["OutputName"]: (item.get("S3Output") or {}).get("S3Uri") for item in outputs}
    return {f"Output {name}": _file(context, uri) for name, uri in places.items()}


def _file(context: Context, uri: str | None) -> str | None:
    try:
        return str(object_path(context.s3_dir, uri)) if uri else None
    except S3ReadError:
        return None


def _log(host: Path, anchor: str | None) -> list[Markup]:
    """A host's log; Airflow's button "Training log" links to the anchor."""
    try:
        with open_file(host, host / "output.log") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(size - _TAIL_BYTES, 0))
            content = stream.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    cut = f" (the last {_TAIL_BYTES // 1024} KB)" if size > _TAIL_BYTES else ""
    return [tag("h2", f"Log of {host.name}{cut}", id=anchor), tag("pre", content)]
