"""Versions: there is one of each object, `null`, as in a bucket without versioning."""

from __future__ import annotations

from collections.abc import Mapping

from local_sagemaker.s3.errors import S3Error

NULL_VERSION = "null"


def check_version(query: Mapping[str, str]) -> None:
    """InvalidArgument for a `versionId` that no object here has."""
    if query.get("versionId", NULL_VERSION) != NULL_VERSION:
        details = {"ArgumentName": "versionId", "ArgumentValue": query["versionId"][:200]}
        raise S3Error("InvalidArgument", "Invalid version id specified", details)
