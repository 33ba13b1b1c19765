"""Maps paths to pages."""

from __future__ import annotations

import re

from local_sagemaker.actions.context import Context
from local_sagemaker.web import executions, jobs, packages
from local_sagemaker.web.listing import Place
from local_sagemaker.web.markup import Markup

_EXECUTION = re.compile(r"/ui/executions/([a-z0-9]{12})/?")
_JOB = re.compile(r"/ui/jobs/(training|processing|tuning)/([a-zA-Z0-9-]{1,63})/?")
_PACKAGES = re.compile(r"/ui/packages/([a-zA-Z0-9-]{1,63})(?:/([0-9]{1,9}))?/?")


def render(context: Context, path: str, query: str) -> Markup | None:
    """The page at a path; None if there is no such page."""
    if path == "/":
        return executions.listing(context, Place.of(query))
    if path.rstrip("/") == "/ui/jobs":
        return jobs.listing(context, Place.of(query))
    if match := _EXECUTION.fullmatch(path):
        return executions.detail(context, match[1])
    if match := _JOB.fullmatch(path):
        return jobs.detail(context, match[1], match[2])
    if match := _PACKAGES.fullmatch(path):
        group, version = match.groups()
        return (
            packages.detail(context, group, version) if version else packages.listing(context, group, Place.of(query))
        )
    return None
