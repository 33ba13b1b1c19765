"""The packages of a model package group: find the champion, register and judge new ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.console_links import pages_of
from airflow_sagemaker.aws.faults import Fault, classify_error, error_text, explain_error
from airflow_sagemaker.exceptions import ExecutionError

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.responses import ModelPackageDescription, ModelPackagePage, RegisteredModelPackage
    from airflow_sagemaker.types import JsonValue

_EXISTS = re.compile(r"already exists", re.IGNORECASE)
_MISSING = re.compile(r"^Model ?Package ?(Group)? .*does not exist", re.IGNORECASE)
"""Message of a ValidationException for which other services have a separate code."""
_NOT_IN_NAMES = re.compile(r"[^\w \u00a0.:/=+\-@]")
LISTED_PACKAGES = 100
"""Page size of ListModelPackages: a task searches one page for its package, and compares with one page."""


def metadata_name(metric: str) -> str:
    """Return a metric's name as a key of CustomerMetadataProperties: characters that it does not accept become _."""
    return _NOT_IN_NAMES.sub("_", metric)[:128]


def version_of(package_arn: str | None) -> int:
    """Return the number of a package's version in its group, the last part of the ARN; 0 for none."""
    return int(package_arn.rsplit("/", 1)[-1]) if package_arn else 0


@dataclass(frozen=True)
class Summary:
    """A package in a listing."""

    arn: str
    status: str
    description: str


@dataclass(frozen=True)
class Package:
    """A model package."""

    arn: str
    status: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    approval_description: str = ""
    model_artifact: str = ""

    def metric(self, name: str) -> float | None:
        """Return a metric that the package was registered with, None if it has none with this name."""
        try:
            return float(self.metadata[metadata_name(name)])
        except (KeyError, ValueError):
            return None


class ModelRegistry:
    """A model package group, by name or ARN. Raises ExecutionError if AWS rejects a call."""

    def __init__(self, aws: Aws, group: str) -> None:
        self.aws = aws
        self.group = group

    def page_of(self, arn: str) -> str:
        """Return the URL of a package's page, in the AWS console or on the local SageMaker."""
        return pages_of(arn, self.aws.client("sagemaker").meta.endpoint_url).model_package(arn)

    def newest(self) -> list[Summary]:
        """Return the group's newest packages, the newest first; none for a group that does not exist. One call."""
        return self._listed(MaxResults=LISTED_PACKAGES)

    def champion(self, newest: Sequence[Summary] | None = None, *, but: str = "") -> Package | None:
        """Return the group's latest approved package, except `but`; None without one.

        One call if it is among `newest`, otherwise two.
        """
        listed = [one for one in newest or () if one.status == "Approved" and one.arn != but]
        if not listed and (newest is None or len(newest) == LISTED_PACKAGES):
            listed = self._listed(MaxResults=LISTED_PACKAGES, ModelApprovalStatus="Approved")
        for summary in listed:
            # one that was deleted or rejected since it was listed is not the champion
            found = None if summary.arn == but else self.describe(summary.arn)
            if found is not None and found.status == "Approved":
                return found
        return None

    def approved_after(self, version: int, *, but: str) -> list[Summary]:
        """Return the approved packages other than `but` with a higher version, the newest first. One call."""
        listed = self._listed(MaxResults=LISTED_PACKAGES, ModelApprovalStatus="Approved")
        return [package for package in listed if version_of(package.arn) > version and package.arn != but]

    def describe(self, arn: str) -> Package | None:
        """Return a package, None if it does not exist. One call."""
        try:
            reply: ModelPackageDescription = self.aws.call("sagemaker", "describe_model_package", ModelPackageName=arn)
        except Exception as error:
            if _is_gone(error):
                return None
            raise ExecutionError(explain_error(error, f"reading model package {arn}")) from error
        containers = (reply.get("InferenceSpecification") or {}).get("Containers") or [{}]
        return Package(
            arn=reply["ModelPackageArn"],
            status=reply.get("ModelApprovalStatus", ""),
            metadata=reply.get("CustomerMetadataProperties") or {},
            approval_description=reply.get("ApprovalDescription", ""),
            model_artifact=containers[0].get("ModelDataUrl", ""),
        )

    def register(self, request: Mapping[str, JsonValue]) -> str:
        """Register a package and return its ARN; creates the group if it does not exist."""
        try:
            return self._create(request)
        except Exception as error:
            if not _is_gone(error):
                raise ExecutionError(explain_error(error, f"registering a model in {self.group}")) from error
        self._make_group()
        try:
            return self._create(request)
        except Exception as error:
            raise ExecutionError(explain_error(error, f"registering a model in {self.group}")) from error

    def _create(self, request: Mapping[str, JsonValue]) -> str:
        reply: RegisteredModelPackage = self.aws.call("sagemaker", "create_model_package", **request)
        return reply["ModelPackageArn"]

    def set_status(self, arn: str, status: str, reason: str) -> None:
        """Set a package's approval status. Raises ExecutionError, with a separate message for a deleted package."""
        description = " ".join(reason.split())[:1024]
        try:
            self.aws.call(
                "sagemaker", "update_model_package", ModelPackageArn=arn, ModelApprovalStatus=status,
                ApprovalDescription=description,
            )  # fmt: skip
        except Exception as error:
            if _is_gone(error):
                raise ExecutionError(
                    f"model package {arn} was deleted before it could be judged; clear the task to register it again"
                ) from error
            raise ExecutionError(explain_error(error, f"setting {arn} to {status}")) from error

    def _make_group(self) -> None:
        try:
            self.aws.call("sagemaker", "create_model_package_group", ModelPackageGroupName=self.group)
        except Exception as error:
            if not _EXISTS.search(error_text(error)):  # another task run has created it
                raise ExecutionError(explain_error(error, f"creating model package group {self.group}")) from error

    def _listed(self, **options: str | int) -> list[Summary]:
        try:
            reply: ModelPackagePage = self.aws.call(
                "sagemaker", "list_model_packages", ModelPackageGroupName=self.group, SortBy="CreationTime",
                SortOrder="Descending", **options,
            )  # fmt: skip
        except Exception as error:
            if _is_gone(error):
                return []
            raise ExecutionError(explain_error(error, f"listing the model packages of {self.group}")) from error
        found = [
            Summary(
                item["ModelPackageArn"],
                item.get("ModelApprovalStatus", ""),
                item.get("ModelPackageDescription", ""),
            )
            for item in reply["ModelPackageSummaryList"]
        ]
        return sorted(
            found, key=lambda package: version_of(package.arn), reverse=True
        )  # two may be made in the same moment


def _is_gone(error: Exception) -> bool:
    return classify_error(error) is Fault.GONE or bool(_MISSING.search(error_text(error)))
