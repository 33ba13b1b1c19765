"""Object versions: as in a bucket without versioning, each object has one version, `null`."""

from __future__ import annotations

from collections.abc import Mapping

from local_sagemaker.s3.errors import S3Error

NULL_VERSION = "null"


def check_version(query: Mapping[str, str]) -> None:
    """Raise InvalidArgument for any `versionId` except `null`."""
    if query.get("versionId", NULL_VERSION) != NULL_VERSION:
        details = {"ArgumentName": "versionId", "ArgumentValue": query["versionId"][:200]}
        raise S3Error("InvalidArgument", "Invalid version id specified", details)
