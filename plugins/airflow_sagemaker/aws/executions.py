"""Executions of SageMaker pipelines: start, find, describe, retry.

Only boto3 calls and plain values; no Airflow. Status names are SageMaker's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.backoff import jittered_pauses
from airflow_sagemaker.aws.faults import Fault, classify_error, error_text, explain_error
from airflow_sagemaker.aws.owner import owners_clear_epoch, read_owner
from airflow_sagemaker.contract import digest_of_alias
from airflow_sagemaker.exceptions import ExecutionError, ExecutionNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.responses import (
        ExecutedDefinition,
        ExecutionDescription,
        ExecutionPage,
        ExecutionSummary,
        ParameterPage,
        StartedExecution,
        StepPage,
        StepSummary,
    )
    from airflow_sagemaker.types import JsonObject

PAGE = 100
"""Largest page size of SageMaker's List calls."""

CLOCK_SKEW = timedelta(minutes=10)
"""How far a worker's clock may be ahead of AWS's when an execution is searched by its creation time."""

ARN = re.compile(
    r"arn:(?P<aws>aws[a-z-]*):sagemaker:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):pipeline/(?P<pipeline>[^/]+)"
    r"/execution/(?P<id>[A-Za-z0-9-]+)"
)


class Status(StrEnum):
    """The six values of PipelineExecutionStatus in botocore's model."""

    EXECUTING = "Executing"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    FAILED = "Failed"
    SUCCEEDED = "Succeeded"
    COMPLETED_WITH_FAILURES = "CompletedWithFailures"


LIVE = frozenset({Status.EXECUTING.value, Status.STOPPING.value})
"""An execution with any other status has ended. An unknown status is treated as a failure."""


@dataclass(frozen=True)
class ExecutionArn:
    """The parts of an execution's ARN."""

    text: str
    region: str
    account: str
    pipeline: str
    """As in the ARN; AWS writes pipeline names there in lower case."""
    execution_id: str
    aws_partition: str = "aws"

    @property
    def pipeline_arn(self) -> str:
        """The pipeline's ARN, which SageMaker accepts in place of the name, in any case."""
        return self.text.split("/execution/")[0]

    @classmethod
    def parse(cls, text: object) -> ExecutionArn:
        """Parse an ARN. Raises ExecutionNotFound if it is not an execution's ARN."""
        match = ARN.fullmatch(text) if isinstance(text, str) else None
        if match is None or not isinstance(text, str):
            raise ExecutionNotFound(
                f"{text!r} is not the ARN of a pipeline execution "
                "(expected arn:aws:sagemaker:REGION:ACCOUNT:pipeline/NAME/execution/ID)"
            )
        return cls(text, match["region"], match["account"], match["pipeline"], match["id"], match["aws"])


@dataclass(frozen=True)
class Execution:
    """An execution, as ListPipelineExecutions or DescribePipelineExecution returns it."""

    arn: str
    status: str
    display_name: str = ""
    description: str = ""
    failure_reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    version_aliases: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The part of the ARN that identifies the execution: lists may contain ARNs in lower case (boto3 #4606)."""
        return execution_id(self.arn)

    @property
    def live(self) -> bool:
        """Whether it has not ended; False for an unknown status."""
        return self.status in LIVE

    @property
    def digest(self) -> str:
        """Digest of its definition, from the version's alias; empty if the alias is not ours."""
        return next(filter(None, map(digest_of_alias, self.version_aliases)), "")

    @property
    def owner(self) -> JsonObject:
        """The task run that started it, from the description; empty if it is not ours."""
        return read_owner(self.description)

    @property
    def clear_epoch(self) -> tuple[int, int] | None:
        """Its task's clears when it was requested (epoch, unseen clears); None if it is not ours."""
        return owners_clear_epoch(self.owner)


def execution_id(arn: str) -> str:
    """Return the last part of an execution's ARN."""
    return arn.rpartition("/")[2].lower()


@dataclass(frozen=True)
class Step:
    """One step of an execution."""

    name: str
    status: str
    type: str = ""
    job_arn: str = ""
    failure_reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cache_hit: bool = False
    attempts: int = 1
    metadata: dict[str, JsonObject] = field(default_factory=dict, compare=False, repr=False)

    @property
    def seconds(self) -> float | None:
        """Seconds from start to end, or to now while it runs; None before it starts."""
        if self.started_at is None:
            return None
        return round(((self.ended_at or datetime.now(UTC)) - self.started_at).total_seconds(), 1)

    @property
    def job_name(self) -> str:
        """Name of the training or processing job behind the step, or empty."""
        return self.job_arn.rpartition("/")[2] if "-job/" in self.job_arn else ""


class Executions:
    """The executions of one AWS target."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def start(
        self,
        pipeline_name: str,
        *,
        version: dict[str, str | int],
        display_name: str,
        token: str,
        parameters: dict[str, str],
        description: str,
    ) -> str | None:
        """Start a pipeline. Returns the execution's ARN, or None if the pipeline or version does not exist.

        `version` is `{"PipelineVersionAlias": ...}`, or `{"PipelineVersionId": ...}` if aliases are not supported. A
        repeated start with the same token returns the same ARN. Raises botocore's errors that are not transient.
        """
        try:
            reply: StartedExecution = self.aws.call(
                "sagemaker",
                "start_pipeline_execution",
                PipelineName=pipeline_name,
                PipelineExecutionDisplayName=display_name,
                PipelineExecutionDescription=description,
                PipelineParameters=[{"Name": k, "Value": v} for k, v in sorted(parameters.items())],
                ClientRequestToken=token,
                **version,
            )
        except Exception as error:
            if classify_error(error) is Fault.GONE:
                return None
            raise
        return reply["PipelineExecutionArn"]

    def find(self, pipeline_name: str, display_name: str, *, created: datetime) -> Execution | None:
        """Return the execution with this display name, None if there is none.

        `created` is when its start was requested, by a worker's clock.
        """
        for execution in self.listed(pipeline_name, created_after=created - CLOCK_SKEW):
            if execution.display_name == display_name:
                return execution
        return None

    def live(self, pipeline: str, *, created_after: datetime) -> list[Execution]:
        """Return the executions of a pipeline that have not ended."""
        return [e for e in self.listed(pipeline, created_after=created_after) if e.live]

    def listed(self, pipeline: str, *, created_after: datetime | None = None) -> Iterator[Execution]:
        """Yield a pipeline's executions, newest first; pages are requested when they are consumed."""
        arguments = {"CreatedAfter": created_after} if created_after else {}
        pages: Iterator[ExecutionPage] = self.aws.pages(
            "sagemaker", "list_pipeline_executions",
            PipelineName=pipeline, SortBy="CreationTime", SortOrder="Descending", MaxResults=PAGE, **arguments,
        )  # fmt: skip
        try:
            for page in pages:
                yield from map(_from_summary, page.get("PipelineExecutionSummaries", []))
        except Exception as error:
            if classify_error(error) is not Fault.GONE:
                raise

    def describe(self, arn: str) -> Execution:
        """Describe an execution. Raises ExecutionNotFound if it was deleted, or is in another account or region."""
        ExecutionArn.parse(arn)
        try:
            reply: ExecutionDescription = self.aws.call(
                "sagemaker", "describe_pipeline_execution", PipelineExecutionArn=arn
            )
        except Exception as error:
            if classify_error(error) is Fault.GONE:
                raise ExecutionNotFound(f"execution {arn} was not found: {error_text(error)}") from error
            raise
        return execution_of_description(reply)

    def definition(self, arn: str) -> str:
        """Return the definition that an execution runs, even if the pipeline was updated since."""
        reply: ExecutedDefinition = self.aws.call(
            "sagemaker", "describe_pipeline_definition_for_execution", PipelineExecutionArn=arn
        )
        return reply["PipelineDefinition"]

    def parameters(self, arn: str) -> dict[str, str]:
        """Return the parameters that an execution was started with: at most 200, so at most two pages."""
        pages: Iterator[ParameterPage] = self.aws.pages(
            "sagemaker", "list_pipeline_parameters_for_execution", PipelineExecutionArn=arn, MaxResults=PAGE
        )
        return {item["Name"]: item["Value"] for page in pages for item in page.get("PipelineParameters", [])}

    def steps(self, arn: str) -> list[Step]:
        """Return all steps, in the order in which they started."""
        pages: Iterator[StepPage] = self.aws.pages(
            "sagemaker", "list_pipeline_execution_steps",
            PipelineExecutionArn=arn, SortOrder="Ascending", MaxResults=PAGE,
        )  # fmt: skip
        return [_from_step(step) for page in pages for step in page.get("PipelineExecutionSteps", [])]

    def retry(self, arn: str, token: str) -> None:
        """Rerun the failed and stopped steps under the same ARN (RetryPipelineExecution).

        Returns when SageMaker has accepted it, or when the execution is running again because of an earlier call with
        the same token.
        """
        pauses = jittered_pauses(within=self.aws.patience)
        while True:
            try:
                self.aws.call(
                    "sagemaker", "retry_pipeline_execution", PipelineExecutionArn=arn, ClientRequestToken=token
                )
            except Exception as error:
                is_conflict = classify_error(error) is Fault.CONFLICT
                if is_conflict and self.describe(arn).status == Status.EXECUTING:
                    return
                pause = next(pauses, None)
                if not is_conflict or pause is None:
                    raise ExecutionError(explain_error(error, f"retrying the failed steps of {arn}")) from error
                self.aws.stopped.wait(pause)
            else:
                return


def _from_summary(summary: ExecutionSummary) -> Execution:
    return Execution(
        arn=summary["PipelineExecutionArn"],
        status=summary.get("PipelineExecutionStatus", ""),
        display_name=summary.get("PipelineExecutionDisplayName", ""),
        description=summary.get("PipelineExecutionDescription", ""),
        failure_reason=summary.get("PipelineExecutionFailureReason", ""),
        started_at=summary.get("StartTime"),
        version_aliases=tuple(summary.get("PipelineVersionAliases", ())),
    )


def execution_of_description(reply: ExecutionDescription) -> Execution:
    """Return the execution in a response of DescribePipelineExecution."""
    status = reply.get("PipelineExecutionStatus", "")
    return Execution(
        arn=reply["PipelineExecutionArn"],
        status=status,
        display_name=reply.get("PipelineExecutionDisplayName", ""),
        description=reply.get("PipelineExecutionDescription", ""),
        failure_reason=reply.get("FailureReason", ""),
        started_at=reply.get("CreationTime"),
        ended_at=None if status in LIVE else reply.get("LastModifiedTime"),
        version_aliases=tuple(reply.get("PipelineVersionAliases", ())),
    )


def _from_step(step: StepSummary) -> Step:
    metadata = step.get("Metadata") or {}
    kind = next(iter(metadata), "")
    inner = metadata.get(kind)
    return Step(
        name=step.get("StepName", ""),
        status=step.get("StepStatus", ""),
        type=kind,
        job_arn=inner.get("Arn", "") if isinstance(inner, dict) else "",
        failure_reason=step.get("FailureReason", ""),
        started_at=step.get("StartTime"),
        ended_at=step.get("EndTime"),
        cache_hit=bool(step.get("CacheHitResult")),
        attempts=int(step.get("AttemptCount") or 1),
        metadata=metadata,
    )
