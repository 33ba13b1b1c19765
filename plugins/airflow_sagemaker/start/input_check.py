"""Checks before anything is compiled or started: is what the training will read and run really there?

A missing channel would otherwise be found twenty minutes later by the container, on an instance that is paid for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sagemaker.aws.client import Fault, classify, explain
from airflow_sagemaker.contract import CHANNELS
from airflow_sagemaker.exceptions import ExecutionError, PreflightError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.config.training import PytorchTrainingConfig


def check_inputs(aws: Aws, config: PytorchTrainingConfig) -> None:
    """The three channel objects exist and are not empty, and their bucket lies in the job's region: four calls.

    Raises PreflightError with all findings at once, and ExecutionError when AWS could not be asked: that says nothing
    about the inputs, and a retry may heal it.
    """
    if config.input_path is None:
        raise PreflightError("no input_path is configured and no bucket to generate it from")
    bucket, _, prefix = config.input_path.removeprefix("s3://").partition("/")
    findings = [*_region_findings(aws, bucket)]
    for channel in CHANNELS:
        findings += _object_findings(aws, bucket, f"{prefix.rstrip('/')}/{config.channel_key(channel)}", channel)
    if findings:
        raise PreflightError("The training cannot start:\n" + "\n".join(f"  - {finding}" for finding in findings))


def _region_findings(aws: Aws, bucket: str) -> Iterator[str]:
    region = aws.client("sagemaker").meta.region_name
    try:
        reply: dict[str, Any] = aws.call("s3", "head_bucket", Bucket=bucket)
    except Exception as error:
        doing = f"looking for bucket {bucket!r}"
        fault = _definite_answer(error, doing)
        if fault is Fault.NOT_FOUND:
            yield f"bucket {bucket!r} does not exist"
        elif fault is not Fault.DENIED:  # s3:ListBucket is not needed for training: the objects decide
            yield explain(error, doing)
        return
    found = reply.get("BucketRegion")
    if found and found != region:
        yield f"bucket {bucket!r} lies in region {found}, the training would run in {region}"


def _object_findings(aws: Aws, bucket: str, key: str, channel: str) -> Iterator[str]:
    where = f"s3://{bucket}/{key}"
    try:
        head = aws.call("s3", "head_object", Bucket=bucket, Key=key)
    except Exception as error:
        doing = f"channel {channel!r}: looking for {where}"
        if _definite_answer(error, doing) is Fault.NOT_FOUND:
            yield f"channel {channel!r}: {where} does not exist"
        else:
            yield explain(error, doing)
        return
    if head.get("ContentLength") == 0:
        yield f"channel {channel!r}: {where} is empty"


def _definite_answer(error: Exception, doing: str) -> Fault:
    """What S3 said about the thing; raise when it did not come to that."""
    fault = classify(error)
    if fault in {Fault.NOT_FOUND, Fault.DENIED, Fault.INVALID}:
        return fault
    raise ExecutionError(explain(error, doing)) from error
