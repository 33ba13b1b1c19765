"""Checks before anything is compiled or started: does what the training will read exist?

Without them, the container would report a missing channel twenty minutes later, on a paid instance. A single listing of
the common folder shows all channels, whether single files or folders of parts, and the bucket's region.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.faults import Fault, classify_error, explain_error
from airflow_sagemaker.exceptions import ExecutionError, PreflightError

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.config.base import BasePipelineConfig
    from airflow_sagemaker.types import JsonObject

NO_PERMISSION = (
    "the role may neither list the bucket (s3:ListBucket) nor read the object (s3:GetObject), so it is unknown "
    "whether it exists; grant one of them, or set preflight=False"
)


@dataclass
class Found:
    """What is known about an input; `name` is for messages."""

    name: str
    key: str
    there: bool = False
    size: int = 0

    def add(self, key: str, size: int) -> None:
        """Add an object of the listing: the file itself, or a part in a folder with its name."""
        if key == self.key:
            self.there, self.size = True, self.size + size
            return
        name = key.rpartition("/")[2]
        # Spark writes train.parquet/ as a folder with parts, _SUCCESS and .crc files
        if key.startswith(f"{self.key}/") and name and not name.startswith(("_", ".")):
            self.there, self.size = True, self.size + size


@dataclass
class InputCheck:
    """Checks the inputs in one bucket."""

    aws: Aws
    bucket: str
    prefix: str
    inputs: list[Found] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def run(self) -> list[str]:
        """Return what is wrong with the inputs; one call for folders of up to a thousand objects."""
        try:
            whole = self._list(f"{self.prefix}/" if self.prefix else "")
            if not whole:
                for item in self.inputs:
                    if not item.there:
                        self._list(item.key)
        except Exception as error:
            self._not_listed(error)
        else:
            self.findings += [finding for item in self.inputs if (finding := self._finding(item))]
        return self.findings

    def _list(self, prefix: str) -> bool:
        """Add the objects under a prefix; return whether the listing was complete."""
        reply = self.aws.call("s3", "list_objects_v2", Bucket=self.bucket, Prefix=prefix)
        for there in reply.get("Contents", []):
            for item in self.inputs:
                item.add(there["Key"], there["Size"])
        self._check_region(reply)
        return not reply.get("IsTruncated")

    def _check_region(self, reply: JsonObject) -> None:
        region = self.aws.client("sagemaker").meta.region_name
        found = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region", region)
        text = f"bucket {self.bucket!r} is in region {found}, the training would run in {region}"
        if found != region and text not in self.findings:
            self.findings.append(text)

    def _not_listed(self, error: Exception) -> None:
        fault = classify_error(error)
        if fault is Fault.GONE:
            self.findings.append(f"bucket {self.bucket!r} does not exist")
        elif fault is Fault.DENIED:  # training does not need s3:ListBucket, so check the objects
            self.findings += [finding for item in self.inputs if (finding := self._head(item))]
        elif fault is Fault.REFUSED:
            self.findings.append(explain_error(error, f"listing bucket {self.bucket!r}"))
        else:
            raise ExecutionError(
                explain_error(error, f"looking for the inputs in s3://{self.bucket}/{self.prefix}")
            ) from error

    def _head(self, item: Found) -> str:
        where = self._where(item)
        try:
            head = self.aws.call("s3", "head_object", Bucket=self.bucket, Key=item.key)
        except Exception as error:
            fault = classify_error(error)
            if fault is Fault.DENIED:
                return f"{item.name}: {where}: {NO_PERMISSION}"
            if fault is Fault.GONE:
                return f"{item.name}: {where} does not exist"
            raise ExecutionError(explain_error(error, f"{item.name}: looking for {where}")) from error
        item.there, item.size = True, int(head.get("ContentLength", 0))
        return self._finding(item)

    def _finding(self, item: Found) -> str:
        if not item.there:
            return f"{item.name}: {self._where(item)} does not exist"
        return "" if item.size else f"{item.name}: {self._where(item)} is empty"

    def _where(self, item: Found) -> str:
        return f"s3://{self.bucket}/{item.key}"


def check_inputs(aws: Aws, config: BasePipelineConfig) -> None:
    """Check that the objects that the pipeline reads exist and are not empty, in a bucket of the job's region.

    Makes one call for each bucket, and for each page of the common folder. Raises PreflightError with all findings, and
    ExecutionError if AWS could not be reached, which a retry may fix.
    """
    buckets: dict[str, list[Found]] = {}
    for name, uri in config.input_objects().items():
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        buckets.setdefault(bucket, []).append(Found(name, key.rstrip("/")))
    findings = []
    for bucket, objects in buckets.items():
        shared = posixpath.commonpath([posixpath.dirname(item.key) for item in objects])
        findings += InputCheck(aws, bucket, shared, objects).run()
    if findings:
        raise PreflightError("The training cannot start:\n" + "\n".join(f"  - {finding}" for finding in findings))
