"""The result of a finished execution: its Outcome, or a text that explains a failure.

Downstream tasks get the `Outcome` as the sensor's XCom.
"""

from __future__ import annotations

import io
import json
import math
import tarfile
from dataclasses import asdict, dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_sagemaker.aws import job_logs as joblog
from airflow_sagemaker.aws.executions import LIVE, Status
from airflow_sagemaker.aws.faults import error_text
from airflow_sagemaker.contract import TRAINING_STEP
from airflow_sagemaker.exceptions import ExecutionFailed

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.executions import Execution, Executions, Step
    from airflow_sagemaker.aws.responses import (
        ObjectHead,
        ProcessingJobDescription,
        ResourceConfig,
        StoredObject,
        TrainingJobDescription,
    )
    from airflow_sagemaker.types import JsonObject

REPORT_LIMIT = 64 * 1024
"""Maximum bytes of report.json in an outcome, which is stored in Airflow's database."""
OUTPUT_LIMIT = 16 * 1024 * 1024
"""Maximum bytes of output.tar.gz that are downloaded for the report."""
_NO_JOB: TrainingJobDescription = {"TrainingJobName": ""}
"""Stands for a job that could not be described."""
TAIL_LINES = 100
"""Lines of a failed job's log: torchrun and the container's driver print up to 60 after the program's last line."""


class StepEntry(TypedDict):
    """A step in an outcome."""

    name: str
    type: str
    status: str
    started_at: str | None
    seconds: float | None
    cache_hit: bool
    arn: str


@dataclass(frozen=True)
class Outcome:
    """Result of one execution: status, URIs and numbers."""

    status: str
    """The execution's final status; `Succeeded` in outcomes that tasks return."""
    execution_arn: str
    """The execution."""
    digest: str = ""
    """sha256 of the definition that ran; empty if the version has no alias of this package."""
    model_artifact: str = ""
    """S3 URI of model.tar.gz; after a hit of the step cache, that of the earlier run."""
    checkpoint_path: str = ""
    """S3 URI of the run's checkpoints."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The last value of each metric that SageMaker read from the job's log."""
    report: JsonObject | None = None
    """`report.json` of the job's output, at most 64 KiB; its `metrics` are those of the saved model."""
    billable_seconds: int | None = None
    """Billable seconds per instance; AWS bills them times the number of instances."""
    steps: list[StepEntry] = field(default_factory=list)
    """Name, type, status, started_at (ISO 8601, UTC), seconds, cache_hit and job ARN of each step."""
    training_job_name: str = ""
    """The training step's job."""
    instance_type: str = ""
    """Instance type of the training; of several requested ones, the one that SageMaker chose."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Without a training step, as in scoring: S3 URIs of the last Processing step's outputs, by name."""
    findings: list[str] = field(default_factory=list)
    """What is unusual about the metrics, for a task with `notifiers` or `thresholds`."""

    @property
    def cache_hit(self) -> bool:
        """Whether a step's result came from SageMaker's step cache: the artifact is then at the earlier output path."""
        return any(step["cache_hit"] for step in self.steps)

    def as_dict(self) -> JsonObject:
        """Return the XCom. Numbers that JSON does not have, NaN and infinities, are None: Airflow rejects them."""
        plain: JsonObject = without_nan(asdict(self))
        return plain


def without_nan(value: Any) -> Any:
    """Return plain data with None for NaN and infinities, which a diverged training may report."""
    if isinstance(value, dict):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_outcome(executions: Executions, execution: Execution) -> Outcome:
    """Describe a finished execution: its steps, its training job, and the report in the job's output."""
    aws = executions.aws
    steps = executions.steps(execution.arn)
    trained = training_step(steps)
    job = (_describe_job(aws, trained.job_name) if trained and trained.job_name else None) or _NO_JOB
    return Outcome(
        status=execution.status,
        execution_arn=execution.arn,
        digest=execution.digest,
        model_artifact=job.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""),
        checkpoint_path=job.get("CheckpointConfig", {}).get("S3Uri", ""),
        metrics={m["MetricName"]: float(m["Value"]) for m in job.get("FinalMetricDataList", [])},
        report=_read_report(aws, job) if job["TrainingJobName"] else None,
        billable_seconds=job.get("BillableTimeInSeconds"),
        steps=[_step_entry(step) for step in steps],
        training_job_name=trained.job_name if trained else "",
        instance_type=_instance_type(job.get("ResourceConfig", {})),
        outputs={} if trained else _processing_outputs(aws, steps),
    )


def _instance_type(resources: ResourceConfig) -> str:
    return resources.get("SelectedInstanceType") or resources.get("InstanceType", "")


def training_step(steps: list[Step]) -> Step | None:
    """Return the pipeline's training step; of several, the one called Train or the last one."""
    training = [step for step in steps if step.type == "TrainingJob"]
    named = [step for step in training if step.name == TRAINING_STEP]
    candidates = named or training
    return candidates[-1] if candidates else None


def _step_entry(step: Step) -> StepEntry:
    return {
        "name": step.name,
        "type": step.type,
        "status": step.status,
        "started_at": step.started_at.astimezone(UTC).isoformat() if step.started_at else None,
        "seconds": step.seconds,
        "cache_hit": step.cache_hit,
        "arn": step.job_arn,
    }


def _describe_job(aws: Aws, job_name: str) -> TrainingJobDescription | None:
    try:
        job: TrainingJobDescription = aws.call("sagemaker", "describe_training_job", TrainingJobName=job_name)
    except Exception as error:
        aws.log.warning("Training job %s could not be described: %s", job_name, error_text(error))
        return None
    return job


def _processing_outputs(aws: Aws, steps: list[Step]) -> dict[str, str]:
    jobs = [step.job_name for step in steps if step.type == "ProcessingJob" and step.job_name]
    if not jobs:
        return {}
    try:
        job: ProcessingJobDescription = aws.call("sagemaker", "describe_processing_job", ProcessingJobName=jobs[-1])
    except Exception as error:
        aws.log.warning("Processing job %s could not be described: %s", jobs[-1], error_text(error))
        return {}
    outputs = job.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return {item["OutputName"]: item["S3Output"]["S3Uri"] for item in outputs if item.get("S3Output")}


def _read_report(aws: Aws, job: TrainingJobDescription) -> JsonObject | None:
    """Return `report.json` of the job's output.tar.gz, None if there is none or it is too large, which is logged."""
    output = job.get("OutputDataConfig", {}).get("S3OutputPath", "").rstrip("/")
    bucket, _, prefix = output.removeprefix("s3://").partition("/")
    if job.get("TrainingJobStatus") != "Completed" or not bucket:
        return None
    key = "/".join(part for part in (prefix, job["TrainingJobName"], "output", "output.tar.gz") if part)
    try:
        head: ObjectHead = aws.call("s3", "head_object", Bucket=bucket, Key=key)
        size = head.get("ContentLength", 0)
        if size > OUTPUT_LIMIT:
            aws.log.info("No report read: s3://%s/%s has %d bytes", bucket, key, size)
            return None
        found: StoredObject = aws.call("s3", "get_object", Bucket=bucket, Key=key)
        return _report_in(found["Body"].read())
    except Exception as error:  # a missing report must not fail a training that succeeded
        aws.log.info("No report read from s3://%s/%s: %s", bucket, key, error_text(error))
        return None


def _report_in(archive: bytes) -> JsonObject | None:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            if member.isfile() and member.name.rpartition("/")[2] == "report.json":
                if member.size > REPORT_LIMIT:
                    raise ValueError(f"report.json has {member.size} bytes, more than {REPORT_LIMIT}")
                stream = tar.extractfile(member)
                report = json.loads(stream.read()) if stream else None
                return report if isinstance(report, dict) else None
    return None


def explain_failure(
    executions: Executions, execution: Execution, url: str = "", *, with_log: bool = True
) -> ExecutionFailed:
    """Return an error that explains why an execution failed: last log lines, link, and finally the reason."""
    job_name = ""
    lines = [_describe_end(execution)]
    reasons: list[str] = []
    if execution.failure_reason:
        lines.append(f"Reason: {execution.failure_reason}")
    try:
        steps = executions.steps(execution.arn)
        trained = training_step(steps)
        job_name = trained.job_name if trained else ""
        for step in steps:
            if step.status in {"Failed", "Stopped"}:
                lines += _log_of(executions.aws, step) if with_log else []
                reasons.append(_reason_of(step))
    except Exception as error:
        lines.append(f"(its steps could not be read: {error_text(error)})")
    if url:
        lines.append(f"See {url}")
    return ExecutionFailed("\n".join([*lines, *reasons]), training_job_name=job_name)


def _describe_end(execution: Execution) -> str:
    known = {status.value for status in Status}
    if execution.status not in known:
        text = f"Execution {execution.arn} has a status this version does not know: {execution.status!r}"
        return f"{text}; treated as failed"
    if execution.status in LIVE:
        return f"Execution {execution.arn} has not ended: {execution.status}"
    return f"Execution {execution.arn} ended as {execution.status}"


def _reason_of(step: Step) -> str:
    return f"Step {step.name!r} {step.status.lower()}: {step.failure_reason or 'SageMaker reported no reason'}"


def _log_of(aws: Aws, step: Step) -> list[str]:
    lines: list[str] = []
    group = joblog.log_group(step.type)
    if group and step.job_name:
        try:
            text = joblog.read_log_tail(aws, group, step.job_name, TAIL_LINES)
        except Exception as error:
            return [f"(the log of {step.job_name} could not be read: {error_text(error)})"]
        lines.append(f"Last {len(text)} lines of {group}/{step.job_name}:" if text else f"{step.job_name} wrote no log")
        lines += [f"    {line}" for line in text]
    return lines
