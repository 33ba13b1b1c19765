"""Links from a job's page to the execution or tuning job that created it."""

from __future__ import annotations

from urllib.parse import quote

from local_sagemaker.actions.context import Context
from local_sagemaker.web.markup import Markup, tag


def execution_link(context: Context, job: str) -> Markup | None:
    """The execution whose step created the job."""
    row = context.db.read().execute(
        "SELECT e.id, e.display_name, s.name FROM steps s JOIN executions e ON e.arn = s.execution"
        " WHERE s.job = ? AND s.cache_source IS NULL",
        (job,),
    ).fetchone()  # fmt: skip
    if row is None:
        return None
    text = f"{row['display_name'] or row['id']}, step {row['name']}"
    return tag("a", text, href=f"/ui/executions/{row['id']}")


def tuning_link(arn: str | None) -> Markup | None:
    """The tuning job of a training job."""
    if arn is None:
        return None
    name = arn.rsplit("/", 1)[-1]
    return tag("a", name, href=f"/ui/jobs/tuning/{quote(name)}")
