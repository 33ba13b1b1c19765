"""Models, packages and groups in the database, written by actions and steps."""

from __future__ import annotations

import sqlite3

from local_sagemaker import service_model
from local_sagemaker.errors import ConflictException, ValidationException
from local_sagemaker.identifiers import caller, now, sagemaker_arn
from local_sagemaker.json_text import dumps
from local_sagemaker.store import tags as tag_records
from local_sagemaker.types import JsonObject, Request

MODEL, GROUP, PACKAGE = "model", "model-package-group", "model-package"


def _insert(
    connection: sqlite3.Connection,
    kind: str,
    name: str,
    description: JsonObject,
    request: Request,
    parent: str | None = None,
) -> str:
    arn, moment = sagemaker_arn(f"{kind}/{name}"), now()
    connection.execute(
        "INSERT INTO resources (arn, kind, name, parent, description, created, modified) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (arn, kind, name, parent, dumps(description), moment, moment),
    )
    tag_records.write(connection, arn, request.get("Tags") or [])
    return arn


def find(connection: sqlite3.Connection, kind: str, name_or_arn: str) -> sqlite3.Row | None:
    """A resource's row, by ARN or by name in the caller's region; None if it does not exist."""
    arn = name_or_arn if name_or_arn.startswith("arn:") else sagemaker_arn(f"{kind}/{name_or_arn}")
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM resources WHERE kind = ? AND arn = ?", (kind, arn)
    ).fetchone()
    return row


def members_of_answer(operation: str, request: Request) -> JsonObject:
    """The members of a request that are also in an action's response."""
    members = service_model.output_members(operation)
    return {key: value for key, value in request.items() if key in members}


def insert_model(connection: sqlite3.Connection, request: Request) -> tuple[str, JsonObject]:
    """Store a model; return its ARN and description."""
    name = request["ModelName"]
    if find(connection, MODEL, name):
        raise ValidationException(f'Cannot create already existing model "{sagemaker_arn(f"model/{name}")}".')
    if not request.get("PrimaryContainer") and not request.get("Containers"):
        raise ValidationException("Either PrimaryContainer or Containers must be specified.")
    description = members_of_answer("DescribeModel", request)
    description |= {"ModelArn": sagemaker_arn(f"model/{name}"), "CreationTime": now()}
    return _insert(connection, MODEL, name, description, request), description


def insert_group(connection: sqlite3.Connection, request: Request) -> str:
    """Store a group; return its ARN."""
    name = request["ModelPackageGroupName"]
    arn = sagemaker_arn(f"{GROUP}/{name}")
    if find(connection, GROUP, name):
        raise ValidationException(f"Model Package Group already exists: {arn}")
    description = members_of_answer("DescribeModelPackageGroup", request) | {
        "ModelPackageGroupArn": arn,
        "CreationTime": now(),
        "CreatedBy": caller(),
        "ModelPackageGroupStatus": "Completed",
    }
    return _insert(connection, GROUP, name, description, request)


def group_name(name_or_arn: str) -> str:
    """A group's name, from its name or ARN."""
    return name_or_arn.rsplit("/", 1)[-1]


def group_arn(name_or_arn: str) -> str:
    """A group's ARN, from its name or ARN."""
    return sagemaker_arn(f"{GROUP}/{group_name(name_or_arn)}")


def missing_group(name: str) -> str:
    """The service's message for a group that does not exist."""
    return f"ModelPackageGroup {sagemaker_arn(f'{GROUP}/{name}')} does not exist."


def insert_package(connection: sqlite3.Connection, request: Request) -> tuple[str, JsonObject]:
    """Store a package: the next version of a group, or one with its own name. Return its ARN and description."""
    group, name = request.get("ModelPackageGroupName"), request.get("ModelPackageName")
    if (group is None) == (name is None):
        raise ValidationException("Exactly one of ModelPackageGroupName and ModelPackageName must be specified.")
    description = members_of_answer("DescribeModelPackage", request)
    if group is not None:
        group = group_name(group)
        if not find(connection, GROUP, group):
            raise ValidationException(missing_group(group))
        version = _next_version(connection, group)
        name = f"{group}/{version}"
        # a version has no name; the service returns the group's
        description |= {"ModelPackageName": group, "ModelPackageGroupName": group, "ModelPackageVersion": version}
        description.setdefault("ModelApprovalStatus", "PendingManualApproval")
    assert name is not None  # noqa: S101
    if find(connection, PACKAGE, name):
        raise ConflictException(f"Model Package already exists: {sagemaker_arn(f'{PACKAGE}/{name}')}")
    moment = now()
    description |= {
        "ModelPackageArn": sagemaker_arn(f"{PACKAGE}/{name}"),
        "CreationTime": moment,
        "LastModifiedTime": moment,
        "CreatedBy": caller(),
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
    }
    return _insert(connection, PACKAGE, name, description, request, group_arn(group) if group else None), description


def _next_version(connection: sqlite3.Connection, group: str) -> int:
    """The group's next version number; numbers of deleted versions are not reused."""
    row = connection.execute(
        "UPDATE resources SET last_version = last_version + 1 WHERE arn = ? RETURNING last_version",
        (group_arn(group),),
    ).fetchone()
    return int(row["last_version"])


def register_package(connection: sqlite3.Connection, request: Request) -> tuple[str, JsonObject]:
    """Store a package for a step; creates a missing group, as the service does."""
    group = request.get("ModelPackageGroupName")
    if group and not find(connection, GROUP, group_name(group)):
        insert_group(connection, {"ModelPackageGroupName": group_name(group)})
    return insert_package(connection, request)
