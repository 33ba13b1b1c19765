"""Models, model packages and their groups, as far as registration steps and clients need them.

Models are not hosted, and packages are not scanned: a package is Completed as soon as it is stored.
"""

from __future__ import annotations

import json
import sqlite3

from local_sagemaker import service_model
from local_sagemaker.actions.context import Context
from local_sagemaker.actions.paging import Query, page
from local_sagemaker.actions.registry import action
from local_sagemaker.actions.request_tokens import answer_once
from local_sagemaker.errors import ConflictException, ValidationException
from local_sagemaker.identifiers import caller, now, sagemaker_arn
from local_sagemaker.json_text import dumps, without_none
from local_sagemaker.store import models as model_records
from local_sagemaker.store.models import GROUP, MODEL, PACKAGE
from local_sagemaker.types import JsonObject, Request, Response


def _find(connection: sqlite3.Connection, kind: str, name_or_arn: str, missing: str) -> sqlite3.Row:
    row = model_records.find(connection, kind, name_or_arn)
    if row is None:
        raise ValidationException(missing)
    return row


def _delete(connection: sqlite3.Connection, arn: str) -> None:
    connection.execute("DELETE FROM tags WHERE arn = ?", (arn,))
    connection.execute("DELETE FROM resources WHERE arn = ?", (arn,))


@action
def create_model(context: Context, request: Request) -> Response:
    """Create a model."""
    _check(context, "CreateModel", request)
    with context.db.write() as connection:
        return {"ModelArn": model_records.insert_model(connection, request)[0]}


def _check(context: Context, operation: str, request: Request) -> None:
    problems = context.checks.problems(operation, request)
    if problems:
        raise ValidationException("; ".join(problems))


def _missing_model(name: str) -> str:
    return f'Could not find model "{sagemaker_arn(f"model/{name}")}".'


@action
def describe_model(context: Context, request: Request) -> Response:
    """Describe a model."""
    name = request["ModelName"]
    description: Response = json.loads(_find(context.db.read(), MODEL, name, _missing_model(name))["description"])
    return description


@action
def delete_model(context: Context, request: Request) -> Response:
    """Delete a model, but not its artifacts."""
    name = request["ModelName"]
    with context.db.write() as connection:
        _delete(connection, _find(connection, MODEL, name, _missing_model(name))["arn"])
    return {}


def _listed(context: Context, request: Request, kind: str, query: Query) -> tuple[list[Response], dict[str, str]]:
    query.add("kind = ?", kind)
    query.add_region()
    if request.get("NameContains"):
        query.add("instr(lower(name), lower(?)) > 0", request["NameContains"])
    query.add_range("created", request.get("CreationTimeAfter"), request.get("CreationTimeBefore"))
    sort = "name" if request.get("SortBy") == "Name" else "created"
    descending = request.get("SortOrder", "Descending") == "Descending"
    rows, token = page(context.db.read(), query, request, sort=sort, descending=descending)
    return [json.loads(row["description"]) for row in rows], token


def _summaries(shape: str, descriptions: list[Response]) -> list[Response]:
    members = service_model.service_model().shape_for(shape).members
    return [{key: value for key, value in item.items() if key in members} for item in descriptions]


@action
def list_models(context: Context, request: Request) -> Response:
    """Models, newest first by default."""
    found, token = _listed(context, request, MODEL, Query("resources"))
    return {"Models": _summaries("ModelSummary", found), **token}


@action
def create_model_package_group(context: Context, request: Request) -> Response:
    """Create a group for versions of a model."""
    with context.db.write() as connection:
        return {"ModelPackageGroupArn": model_records.insert_group(connection, request)}


@action
def describe_model_package_group(context: Context, request: Request) -> Response:
    """Describe a group."""
    name = model_records.group_name(request["ModelPackageGroupName"])
    row = _find(context.db.read(), GROUP, name, model_records.missing_group(name))
    description: Response = json.loads(row["description"])
    return description


@action
def delete_model_package_group(context: Context, request: Request) -> Response:
    """Delete a group; ServiceError if it has packages."""
    name = model_records.group_name(request["ModelPackageGroupName"])
    with context.db.write() as connection:
        row = _find(connection, GROUP, name, model_records.missing_group(name))
        if connection.execute(
            "SELECT 1 FROM resources WHERE kind = ? AND parent = ?", (PACKAGE, row["arn"])
        ).fetchone():
            raise ConflictException(f"Model Package Group {row['arn']} still has model packages: delete them first.")
        _delete(connection, row["arn"])
    return {}


@action
def list_model_package_groups(context: Context, request: Request) -> Response:
    """Groups, newest first by default."""
    query = Query("resources")
    if request.get("CrossAccountFilterOption") == "CrossAccount":
        query.add("0")
    found, token = _listed(context, request, GROUP, query)
    return {"ModelPackageGroupSummaryList": _summaries("ModelPackageGroupSummary", found), **token}


@action
def create_model_package(context: Context, request: Request) -> Response:
    """Register a package."""

    def create() -> tuple[Response, str]:
        _check(context, "CreateModelPackage", request)
        arn, _ = model_records.insert_package(connection, request)
        return {"ModelPackageArn": arn}, arn

    with context.db.write() as connection:
        return answer_once(connection, "CreateModelPackage", request, create, keyed_by="ClientToken")


def _missing_package(name: str) -> str:
    arn = name if name.startswith("arn:") else sagemaker_arn(f"{PACKAGE}/{name}")
    return f"ModelPackage {arn} does not exist."


@action
def describe_model_package(context: Context, request: Request) -> Response:
    """Describe a package."""
    name = request["ModelPackageName"]
    row = _find(context.db.read(), PACKAGE, name, _missing_package(name))
    description: Response = json.loads(row["description"])
    return description


@action
def list_model_packages(context: Context, request: Request) -> Response:
    """The packages of a group, or by default those without a group."""
    query = Query("resources")
    kind = request.get("ModelPackageType", "Unversioned")
    if request.get("ModelPackageGroupName"):
        query.add("parent = ?", model_records.group_arn(request["ModelPackageGroupName"]))
    elif kind != "Both":
        query.add("parent IS NULL" if kind == "Unversioned" else "parent IS NOT NULL")
    if request.get("ModelApprovalStatus"):
        query.add("json_extract(description, '$.ModelApprovalStatus') = ?", request["ModelApprovalStatus"])
    found, token = _listed(context, request, PACKAGE, query)
    return {"ModelPackageSummaryList": _summaries("ModelPackageSummary", found), **token}


_UPDATED = ("ModelApprovalStatus", "ApprovalDescription", "SourceUri", "InferenceSpecification", "ModelLifeCycle")


@action
def update_model_package(context: Context, request: Request) -> Response:
    """Approve or reject a package, or change its description."""
    with context.db.write() as connection:
        return answer_once(
            connection, "UpdateModelPackage", request, lambda: _update(connection, request), keyed_by="ClientToken"
        )


def _update(connection: sqlite3.Connection, request: Request) -> tuple[Response, str]:
    arn = request["ModelPackageArn"]
    row = _find(connection, PACKAGE, arn, _missing_package(arn))
    description: JsonObject = json.loads(row["description"])
    description |= without_none({member: request.get(member) for member in _UPDATED})
    properties = description.get("CustomerMetadataProperties") or {}
    properties |= request.get("CustomerMetadataProperties") or {}
    for key in request.get("CustomerMetadataPropertiesToRemove") or []:
        properties.pop(key, None)
    if properties or "CustomerMetadataProperties" in description:
        description["CustomerMetadataProperties"] = properties
    description |= {"LastModifiedTime": now(), "LastModifiedBy": caller()}
    connection.execute(
        "UPDATE resources SET description = ?, modified = ? WHERE arn = ?", (dumps(description), now(), row["arn"])
    )
    return {"ModelPackageArn": row["arn"]}, row["arn"]


@action
def delete_model_package(context: Context, request: Request) -> Response:
    """Delete a package, but not its artifacts."""
    name = request["ModelPackageName"]
    with context.db.write() as connection:
        _delete(connection, _find(connection, PACKAGE, name, _missing_package(name))["arn"])
    return {}
