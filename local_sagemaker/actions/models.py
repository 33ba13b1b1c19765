"""Models, model packages and their groups, as far as a registration step and its readers need them.

Nothing is hosted or scanned here: a package is Completed as soon as it is written down.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from local_sagemaker import model
from local_sagemaker.actions import lookup, tags
from local_sagemaker.actions.registry import action
from local_sagemaker.context import Context, Request, Response
from local_sagemaker.errors import ConflictException, ValidationException
from local_sagemaker.jsontext import dumps, without_none
from local_sagemaker.names import now, sagemaker_arn, step_job_name
from local_sagemaker.paging import Query, page

MODEL, GROUP, PACKAGE = "model", "model-package-group", "model-package"


def _insert(
    connection: sqlite3.Connection,
    kind: str,
    name: str,
    description: Response,
    request: Request,
    parent: str | None = None,
) -> str:
    arn, moment = sagemaker_arn(f"{kind}/{name}"), now()
    connection.execute(
        "INSERT INTO resources (arn, kind, name, parent, description, created, modified) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (arn, kind, name, parent, dumps(description), moment, moment),
    )
    tags.put(connection, arn, request.get("Tags") or [])
    return arn


def _row(connection: sqlite3.Connection, kind: str, name_or_arn: str) -> sqlite3.Row | None:
    column = "arn" if name_or_arn.startswith("arn:") else "name"
    row: sqlite3.Row | None = connection.execute(
        f"SELECT * FROM resources WHERE kind = ? AND {column} = ?",  # noqa: S608
        (kind, name_or_arn),
    ).fetchone()
    return row


def _find(connection: sqlite3.Connection, kind: str, name_or_arn: str, missing: str) -> sqlite3.Row:
    row = _row(connection, kind, name_or_arn)
    if row is None:
        raise ValidationException(missing)
    return row


def _known(operation: str, request: Request) -> Response:
    members = model.output_shape(operation).members
    return {key: value for key, value in request.items() if key in members}


def _delete(connection: sqlite3.Connection, arn: str) -> None:
    connection.execute("DELETE FROM tags WHERE arn = ?", (arn,))
    connection.execute("DELETE FROM resources WHERE arn = ?", (arn,))


def insert_model(connection: sqlite3.Connection, request: Request) -> tuple[str, Response]:
    """Write a model down; gives its ARN and description."""
    name = request["ModelName"]
    if _row(connection, MODEL, name):
        raise ValidationException(f'Cannot create already existing model "{sagemaker_arn(f"model/{name}")}".')
    if not request.get("PrimaryContainer") and not request.get("Containers"):
        raise ValidationException("Either PrimaryContainer or Containers must be specified.")
    description = _known("DescribeModel", request)
    description |= {"ModelArn": sagemaker_arn(f"model/{name}"), "CreationTime": now()}
    return _insert(connection, MODEL, name, description, request), description


@action
def create_model(context: Context, request: Request) -> Response:
    """Write a model down."""
    with context.db.write() as connection:
        return {"ModelArn": insert_model(connection, request)[0]}


def _missing_model(name: str) -> str:
    return f'Could not find model "{sagemaker_arn(f"model/{name}")}".'


@action
def describe_model(context: Context, request: Request) -> Response:
    """One model."""
    name = request["ModelName"]
    description: Response = json.loads(_find(context.db.read(), MODEL, name, _missing_model(name))["description"])
    return description


@action
def delete_model(context: Context, request: Request) -> Response:
    """Delete a model; its artifacts stay."""
    name = request["ModelName"]
    with context.db.write() as connection:
        _delete(connection, _find(connection, MODEL, name, _missing_model(name))["arn"])
    return {}


def _listed(context: Context, request: Request, kind: str, query: Query) -> tuple[list[Response], dict[str, str]]:
    query.add("kind = ?", kind)
    if request.get("NameContains"):
        query.add("instr(lower(name), lower(?)) > 0", request["NameContains"])
    query.add_range("created", request.get("CreationTimeAfter"), request.get("CreationTimeBefore"))
    sort = "name" if request.get("SortBy") == "Name" else "created"
    descending = request.get("SortOrder", "Descending") == "Descending"
    rows, token = page(context.db.read(), query, request, sort=sort, descending=descending)
    return [json.loads(row["description"]) for row in rows], token


def _summaries(shape: str, descriptions: list[Response]) -> list[Response]:
    members = model.service_model().shape_for(shape).members
    return [{key: value for key, value in item.items() if key in members} for item in descriptions]


@action
def list_models(context: Context, request: Request) -> Response:
    """Models, the newest first unless asked otherwise."""
    found, token = _listed(context, request, MODEL, Query("resources"))
    return {"Models": _summaries("ModelSummary", found), **token}


@action
def create_model_package_group(context: Context, request: Request) -> Response:
    """Make a group for versions of one model."""
    with context.db.write() as connection:
        return {"ModelPackageGroupArn": _insert_group(connection, request)}


def _insert_group(connection: sqlite3.Connection, request: Request) -> str:
    name = request["ModelPackageGroupName"]
    arn = sagemaker_arn(f"{GROUP}/{name}")
    if _row(connection, GROUP, name):
        raise ValidationException(f"Model Package Group already exists: {arn}")
    description = _known("DescribeModelPackageGroup", request) | {
        "ModelPackageGroupArn": arn,
        "CreationTime": now(),
        "CreatedBy": lookup.USER,
        "ModelPackageGroupStatus": "Completed",
    }
    return _insert(connection, GROUP, name, description, request)


def _group_name(name_or_arn: str) -> str:
    return name_or_arn.rsplit("/", 1)[-1]


def _missing_group(name: str) -> str:
    return f"ModelPackageGroup {sagemaker_arn(f'{GROUP}/{name}')} does not exist."


@action
def describe_model_package_group(context: Context, request: Request) -> Response:
    """One group."""
    name = _group_name(request["ModelPackageGroupName"])
    row = _find(context.db.read(), GROUP, name, _missing_group(name))
    description: Response = json.loads(row["description"])
    return description


@action
def delete_model_package_group(context: Context, request: Request) -> Response:
    """Delete a group; refused while it has packages."""
    name = _group_name(request["ModelPackageGroupName"])
    with context.db.write() as connection:
        row = _find(connection, GROUP, name, _missing_group(name))
        if connection.execute("SELECT 1 FROM resources WHERE kind = ? AND parent = ?", (PACKAGE, name)).fetchone():
            raise ConflictException(f"Model Package Group {row['arn']} still has model packages: delete them first.")
        _delete(connection, row["arn"])
    return {}


@action
def list_model_package_groups(context: Context, request: Request) -> Response:
    """Groups, the newest first unless asked otherwise."""
    found, token = _listed(context, request, GROUP, Query("resources"))
    return {"ModelPackageGroupSummaryList": _summaries("ModelPackageGroupSummary", found), **token}


def insert_package(connection: sqlite3.Connection, request: Request) -> tuple[str, Response]:
    """Register a package: the next version of a group, or one with a name of its own. Gives ARN and description."""
    group, name = request.get("ModelPackageGroupName"), request.get("ModelPackageName")
    if (group is None) == (name is None):
        raise ValidationException("Exactly one of ModelPackageGroupName and ModelPackageName must be specified.")
    description = _known("DescribeModelPackage", request)
    if group is not None:
        group = _group_name(group)
        if not _row(connection, GROUP, group):
            raise ValidationException(_missing_group(group))
        version = _next_version(connection, group)
        name = f"{group}/{version}"
        # a version has no name of its own, the service gives the group's
        description |= {"ModelPackageName": group, "ModelPackageGroupName": group, "ModelPackageVersion": version}
        description.setdefault("ModelApprovalStatus", "PendingManualApproval")
    assert name is not None  # noqa: S101
    if _row(connection, PACKAGE, name):
        raise ConflictException(f"Model Package already exists: {sagemaker_arn(f'{PACKAGE}/{name}')}")
    moment = now()
    description |= {
        "ModelPackageArn": sagemaker_arn(f"{PACKAGE}/{name}"),
        "CreationTime": moment,
        "LastModifiedTime": moment,
        "CreatedBy": lookup.USER,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
    }
    return _insert(connection, PACKAGE, name, description, request, group), description


def _next_version(connection: sqlite3.Connection, group: str) -> int:
    """One more than any version that the group has had; a deleted version's number does not come again."""
    row = connection.execute(
        "UPDATE resources SET last_version = last_version + 1 WHERE kind = ? AND name = ? RETURNING last_version",
        (GROUP, group),
    ).fetchone()
    return int(row["last_version"])


@action
def create_model_package(context: Context, request: Request) -> Response:
    """Register a package."""
    with context.db.write() as connection:
        return {"ModelPackageArn": insert_package(connection, request)[0]}


def _missing_package(name: str) -> str:
    arn = name if name.startswith("arn:") else sagemaker_arn(f"{PACKAGE}/{name}")
    return f"ModelPackage {arn} does not exist."


@action
def describe_model_package(context: Context, request: Request) -> Response:
    """One package."""
    name = request["ModelPackageName"]
    row = _find(context.db.read(), PACKAGE, name, _missing_package(name))
    description: Response = json.loads(row["description"])
    return description


@action
def list_model_packages(context: Context, request: Request) -> Response:
    """Packages: those of a group, or those without one unless asked otherwise."""
    query = Query("resources")
    kind = request.get("ModelPackageType", "Unversioned")
    if request.get("ModelPackageGroupName"):
        query.add("parent = ?", _group_name(request["ModelPackageGroupName"]))
    elif kind != "Both":
        query.add("parent IS NULL" if kind == "Unversioned" else "parent IS NOT NULL")
    if request.get("ModelApprovalStatus"):
        query.add("json_extract(description, '$.ModelApprovalStatus') = ?", request["ModelApprovalStatus"])
    found, token = _listed(context, request, PACKAGE, query)
    return {"ModelPackageSummaryList": _summaries("ModelPackageSummary", found), **token}


_UPDATED = ("ModelApprovalStatus", "ApprovalDescription", "SourceUri", "InferenceSpecification", "ModelLifeCycle")


@action
def update_model_package(context: Context, request: Request) -> Response:
    """Approve or reject a package, change its description."""
    for member in ("AdditionalInferenceSpecificationsToAdd", "ModelCard", "ModelPackageRegistrationType"):
        if request.get(member) is not None:
            raise ValidationException(f"{member} is not supported by this local SageMaker.")
    arn = request["ModelPackageArn"]
    with context.db.write() as connection:
        row = _find(connection, PACKAGE, arn, _missing_package(arn))
        description: dict[str, Any] = json.loads(row["description"])
        description |= without_none({member: request.get(member) for member in _UPDATED})
        properties = description.get("CustomerMetadataProperties") or {}
        properties |= request.get("CustomerMetadataProperties") or {}
        for key in request.get("CustomerMetadataPropertiesToRemove") or []:
            properties.pop(key, None)
        if properties or "CustomerMetadataProperties" in description:
            description["CustomerMetadataProperties"] = properties
        description |= {"LastModifiedTime": now(), "LastModifiedBy": lookup.USER}
        connection.execute(
            "UPDATE resources SET description = ?, modified = ? WHERE arn = ?", (dumps(description), now(), row["arn"])
        )
    return {"ModelPackageArn": row["arn"]}


@action
def delete_model_package(context: Context, request: Request) -> Response:
    """Delete a package; its artifacts stay."""
    name = request["ModelPackageName"]
    with context.db.write() as connection:
        _delete(connection, _find(connection, PACKAGE, name, _missing_package(name))["arn"])
    return {}


def create_for_step(
    connection: sqlite3.Connection, kind: str, request: Request, execution_id: str, step: str
) -> tuple[str, Response]:
    """What a Model or RegisterModel step makes; a group that is missing is made, as the service does."""
    operation = "CreateModel" if kind == "Model" else "CreateModelPackage"
    if kind == "Model":
        request = {**request, "ModelName": step_job_name(execution_id, step, request.get("ModelName"))}
    broken = list(model.violations(model.input_shape(operation), request))
    if broken:
        raise ValidationException(f"{operation}: {model.validation_text(broken)}")
    if kind == "Model":
        return insert_model(connection, request)
    group = request.get("ModelPackageGroupName")
    if group and not _row(connection, GROUP, _group_name(group)):
        _insert_group(connection, {"ModelPackageGroupName": _group_name(group)})
    elif not group and not request.get("ModelPackageName"):
        request = {**request, "ModelPackageName": step_job_name(execution_id, step)}
    return insert_package(connection, request)
