"""The record as an object on S3, for an Airflow without a task state store (before 3.3).

S3's conditional writes are the fence that the store needs: a first record is written only if there is none, and a
later one only if it replaces the version that this process has read. If two tries of a task run at the same time, the
second write is rejected.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.faults import Fault, classify_error, error_code, explain_error
from airflow_sagemaker.exceptions import ConfigurationError, ExecutionError, Violation
from airflow_sagemaker.start.record import ExecutionRecord

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.responses import StoredObject, WrittenObject
    from airflow_sagemaker.start.record import TaskRun
    from airflow_sagemaker.types import JsonObject

PREFIX = "airflow-sagemaker/records"
"""Contains one small object per task run. A lifecycle rule must not delete the record of a run that may still be
cleared
or retried: a second execution would become possible."""

_WRITTEN_BY_ANOTHER = frozenset({"PreconditionFailed", "412"})


class RecordOnS3:
    """The record of one task run at `s3://bucket/<prefix>/<hash of the task run>.json`.

    `owner` identifies this Airflow. Several that share a bucket may have task runs with the same name: another
    Airflow's record is rejected, never used.
    """

    def __init__(self, aws: Aws, bucket: str, run: TaskRun, *, owner: str, prefix: str = PREFIX) -> None:
        self._aws = aws
        self._bucket = bucket
        self._run = run
        self._owner = owner
        self._key = object_key(run, prefix)
        self._version: str | None = None
        """The ETag of the last read or write; None if there is no object."""

    @property
    def uri(self) -> str:
        """The S3 URI of the record."""
        return f"s3://{self._bucket}/{self._key}"

    def load(self) -> ExecutionRecord | None:
        """The record of the latest execution of this task instance, whatever its clear epoch."""
        content, self._version = self._read()
        if content is None:
            return None
        owner = content.get("airflow", "")
        if owner.rstrip("/") != self._owner.rstrip("/"):
            rule = f"contains the record of the same task run in another Airflow ({owner or 'unnamed'})"
            hint = (
                "set a separate record_prefix for each Airflow that shares the bucket, in section [airflow_sagemaker]"
            )
            raise ConfigurationError([Violation("record", self.uri, rule, hint)])
        return ExecutionRecord.from_json(content.get("record"))

    def save(self, record: ExecutionRecord) -> None:
        """Store the record. Raises ExecutionError if another process has stored one."""
        content = {"airflow": self._owner, "task_run": dataclasses.asdict(self._run), "record": record.to_json()}
        condition = {"IfNoneMatch": "*"} if self._version is None else {"IfMatch": self._version}
        body = json.dumps(content, indent=1).encode()
        try:
            reply: WrittenObject = self._aws.call(
                "s3", "put_object", Bucket=self._bucket, Key=self._key, Body=body, ContentType="application/json",
                **condition,
            )  # fmt: skip
        except Exception as error:
            if error_code(error) not in _WRITTEN_BY_ANOTHER:
                raise ExecutionError(explain_error(error, f"writing the record {self.uri}")) from error
            self._accept_own(content, error)
        else:
            self._version = reply["ETag"]

    def _accept_own(self, content: JsonObject, error: Exception) -> None:
        """Accept a rejected write if it was our own previous attempt, whose response was lost."""
        found, version = self._read()
        if found != content:
            raise ExecutionError(
                f"another try of this task has written its record {self.uri} in the meantime; this try starts nothing"
            ) from error
        self._version = version

    def _read(self) -> tuple[JsonObject | None, str | None]:
        try:
            reply: StoredObject = self._aws.call("s3", "get_object", Bucket=self._bucket, Key=self._key)
            return json.loads(reply["Body"].read()), reply["ETag"]
        except Exception as error:
            fault = classify_error(error)
            if fault is Fault.GONE and error_code(error) != "NoSuchBucket":
                return None, None
            text = explain_error(error, f"reading the record {self.uri}")
            if fault is Fault.DENIED:
                text += "; without s3:ListBucket, S3 responds like this if there is no record yet"
            raise ExecutionError(text) from error


def object_key(run: TaskRun, prefix: str = PREFIX) -> str:
    """Return the key of a task run's record."""
    identity = json.dumps([run.dag_id, run.run_id, run.task_id, run.map_index])
    return f"{prefix.strip('/')}/{hashlib.sha256(identity.encode()).hexdigest()}.json"
