"""Checks before anything is compiled or started: is what the training will read really there?

A missing channel would otherwise be found twenty minutes later by the container, on an instance that is paid for. One
listing of the input path shows all three channels, single files and folders of parts alike, and the bucket's region.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.aws.faults import Fault, classify_error, explain_error
from airflow_sagemaker.contract import CHANNELS
from airflow_sagemaker.exceptions import ExecutionError, PreflightError

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.config.training import PytorchTrainingConfig

NO_RIGHT = (
    "the role may neither list the bucket (s3:ListBucket) nor read the object (s3:GetObject), so that nobody knows "
    "whether it is there; grant one of them, or set preflight=False"
)


@dataclass
class Found:
    """What is known of one channel."""

    channel: str
    key: str
    there: bool = False
    size: int = 0

    def add(self, key: str, size: int) -> None:
        """Take in one object of the listing: the file itself, or a part in a folder of its name."""
        if key == self.key:
            self.there, self.size = True, self.size + size
            return
        name = key.rpartition("/")[2]
        # Spark writes train.parquet/ as a folder with parts, _SUCCESS and .crc files
        if key.startswith(f"{self.key}/") and name and not name.startswith(("_", ".")):
            self.there, self.size = True, self.size + size


@dataclass
class InputCheck:
    """See the module."""

    aws: Aws
    bucket: str
    prefix: str
    channels: list[Found] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def run(self) -> list[str]:
        """What is wrong with the inputs; one call for unpartitioned folders of up to a thousand objects."""
        try:
            whole = self._list(f"{self.prefix}/")
            if not whole:
                for channel in self.channels:
                    if not channel.there:
                        self._list(channel.key)
        except Exception as error:
            self._not_listed(error)
        else:
            self.findings += [finding for channel in self.channels if (finding := self._finding(channel))]
        return self.findings

    def _list(self, prefix: str) -> bool:
        """Take in what lies under a prefix; whether that was all of it."""
        reply = self.aws.call("s3", "list_objects_v2", Bucket=self.bucket, Prefix=prefix)
        for item in reply.get("Contents", []):
            for channel in self.channels:
                channel.add(item["Key"], item["Size"])
        self._check_region(reply)
        return not reply.get("IsTruncated")

    def _check_region(self, reply: dict[str, Any]) -> None:
        region = self.aws.client("sagemaker").meta.region_name
        found = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region", region)
        text = f"bucket {self.bucket!r} is in region {found}, the training would run in {region}"
        if found != region and text not in self.findings:
            self.findings.append(text)

    def _not_listed(self, error: Exception) -> None:
        fault = classify_error(error)
        if fault is Fault.GONE:
            self.findings.append(f"bucket {self.bucket!r} does not exist")
        elif fault is Fault.DENIED:  # s3:ListBucket is not needed for training: the objects decide
            self.findings += [finding for channel in self.channels if (finding := self._head(channel))]
        elif fault is Fault.REFUSED:
            self.findings.append(explain_error(error, f"looking into bucket {self.bucket!r}"))
        else:
            raise ExecutionError(
                explain_error(error, f"looking for the inputs in s3://{self.bucket}/{self.prefix}")
            ) from error

    def _head(self, channel: Found) -> str:
        where = self._where(channel)
        try:
            head = self.aws.call("s3", "head_object", Bucket=self.bucket, Key=channel.key)
        except Exception as error:
            fault = classify_error(error)
            if fault is Fault.DENIED:
                return f"channel {channel.channel!r}: {where}: {NO_RIGHT}"
            if fault is Fault.GONE:
                return f"channel {channel.channel!r}: {where} does not exist"
            raise ExecutionError(explain_error(error, f"channel {channel.channel!r}: looking for {where}")) from error
        channel.there, channel.size = True, int(head.get("ContentLength", 0))
        return self._finding(channel)

    def _finding(self, channel: Found) -> str:
        if not channel.there:
            return f"channel {channel.channel!r}: {self._where(channel)} does not exist"
        return "" if channel.size else f"channel {channel.channel!r}: {self._where(channel)} is empty"

    def _where(self, channel: Found) -> str:
        return f"s3://{self.bucket}/{channel.key}"


def check_inputs(aws: Aws, config: PytorchTrainingConfig) -> None:
    """The objects of the three channels exist and are not empty, and their bucket is in the job's region: one call.

    Raises PreflightError with all findings at once, and ExecutionError when AWS could not be asked: that says nothing
    about the inputs, and a retry may heal it.
    """
    if config.input_path is None:
        raise PreflightError("no input_path is configured and no bucket to generate it from")
    bucket, _, prefix = config.input_path.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/")
    channels = [Found(channel, f"{prefix}/{config.channel_key(channel)}") for channel in CHANNELS]
    findings = InputCheck(aws, bucket, prefix, channels).run()
    if findings:
        raise PreflightError("The training cannot start:\n" + "\n".join(f"  - {finding}" for finding in findings))
