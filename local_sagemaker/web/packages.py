"""The pages of a model package group and of one of its versions."""

from __future__ import annotations

import json
import sqlite3
from urllib.parse import quote

from local_sagemaker.actions.context import Context
from local_sagemaker.store.models import GROUP, PACKAGE
from local_sagemaker.types import JsonObject
from local_sagemaker.web import listing as pages
from local_sagemaker.web.layout import frame
from local_sagemaker.web.markup import Markup, moment, pairs, table, tag


def listing(context: Context, group: str, place: pages.Place) -> Markup | None:
    """The versions of a group, newest first; None if the group does not exist."""
    found = _find(context, GROUP, group)
    if found is None:
        return None
    select = f"SELECT * FROM (SELECT * FROM resources WHERE parent = '{found['arn']}')"  # noqa: S608 - our own ARN
    page = pages.read(context.db.read(), select, "seq", place)
    lines = []
    for row in page.rows:
        package = json.loads(row["description"])
        version = row["arn"].rsplit("/", 1)[-1]
        link = tag("a", version, href=f"/ui/packages/{quote(group)}/{version}")
        reason = package.get("ApprovalDescription") or package.get("ModelPackageDescription")
        lines.append([link, package.get("ModelApprovalStatus"), moment(row["created"]), reason])
    body = table(["Version", "Approval", "Created (UTC)", "Reason"], lines) if lines else tag("p", "No package.")
    return frame(group, body, page.links(f"/ui/packages/{quote(group)}"))


def detail(context: Context, group: str, version: str) -> Markup | None:
    """One version; None if it does not exist."""
    row = _find(context, PACKAGE, f"{group}/{version}")
    if row is None:
        return None
    package: JsonObject = json.loads(row["description"])
    containers = (package.get("InferenceSpecification") or {}).get("Containers") or [{}]
    facts = {
        "Approval": package.get("ModelApprovalStatus"),
        "Reason": package.get("ApprovalDescription"),
        "Description": package.get("ModelPackageDescription"),
        "Created (UTC)": moment(row["created"]),
        "Model artifact": containers[0].get("ModelDataUrl"),
        "Image": containers[0].get("Image"),
        "Group": tag("a", group, href=f"/ui/packages/{quote(group)}"),
        "ARN": row["arn"],
    }
    metadata = package.get("CustomerMetadataProperties")
    return frame(f"{group}/{version}", pairs(facts), [tag("h2", "Metadata"), pairs(metadata)] if metadata else None)


def _find(context: Context, kind: str, name: str) -> sqlite3.Row | None:
    """The newest resource with that name in any region, since a browser does not specify one."""
    statement = "SELECT * FROM resources WHERE kind = ? AND name = ? ORDER BY seq DESC"
    row: sqlite3.Row | None = context.db.read().execute(statement, (kind, name)).fetchone()
    return row
