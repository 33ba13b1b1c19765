"""Groups of settings in a training configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Protocol

from pydantic import Field

from airflow_sagemaker.config.strict_model import Rule, StrictModel, reads_fields
from airflow_sagemaker.contract import METRICS
from airflow_sagemaker.exceptions import Violation


def default_metric_definitions() -> dict[str, str]:
    """Return the regexes of the four metrics that training/ prints, each on a separate line."""
    return {metric.name: metric.regex for metric in METRICS}


class ProfilerRule(StrictModel):
    """A rule that evaluates the profiler's measurements in a separate processing job, which costs money."""

    what: ClassVar[str] = "profiler rule"

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,256}$", description="Rule to invoke, for example ProfilerReport.")
    parameters: dict[str, str] = Field(default_factory=dict, description="Parameters of the rule.")
    instance_type: str | None = Field(
        default=None, description="Instance type of the evaluator. Default: chosen by SageMaker."
    )
    volume_size: int | None = Field(default=None, ge=1, description="Volume of the evaluator in GB.")


class ProfilerSettings(StrictModel):
    """What SageMaker measures during the training: system metrics, and more on request."""

    what: ClassVar[str] = "profiler settings"

    interval_milliseconds: Literal[100, 200, 500, 1000, 5000, 60000] = Field(
        default=500, description="Milliseconds between system measurements."
    )
    parameters: dict[str, str] = Field(
        default_factory=dict, description="ProfilingParameters of CreateTrainingJob, for detailed profiling."
    )
    rules_to_run: tuple[ProfilerRule, ...] = Field(default=(), max_length=20, description="Rules to evaluate.")


RetryError = Literal["service_fault", "throttling", "job_internal_error", "capacity_error", "resource_limit"]
STEP_ERRORS = frozenset({"service_fault", "throttling"})


class _RetryFields(Protocol):
    """The fields that the rules read."""

    errors: tuple[RetryError, ...]
    max_attempts: int | None
    expire_after_minutes: int | None


@reads_fields("max_attempts", "expire_after_minutes")
def _one_limit(seen: _RetryFields) -> Iterator[Violation]:
    if (seen.max_attempts is None) == (seen.expire_after_minutes is None):
        given = [seen.max_attempts, seen.expire_after_minutes]
        yield Violation("max_attempts", given, "set exactly one of max_attempts and expire_after_minutes")


@reads_fields("errors")
def _one_kind_of_error(seen: _RetryFields) -> Iterator[Violation]:
    kinds = {error in STEP_ERRORS for error in seen.errors}
    if len(kinds) > 1:
        rule = "step errors (service_fault, throttling) and job errors need separate policies"
        yield Violation("errors", list(seen.errors), rule)


class RetryPolicySettings(StrictModel):
    """How SageMaker Pipelines itself retries the training step after a class of errors.

    Source of the limits: SDK, sagemaker.mlops.workflow.retry.
    """

    what: ClassVar[str] = "retry policy"
    rules: ClassVar[tuple[Rule, ...]] = (_one_limit, _one_kind_of_error)

    errors: tuple[RetryError, ...] = Field(min_length=1, description="Errors that this policy handles.")
    max_attempts: int | None = Field(default=None, ge=1, le=20, description="Maximum number of attempts.")
    expire_after_minutes: int | None = Field(
        default=None, ge=1, le=14400, description="Minutes after which no attempt is made."
    )
    interval_seconds: int = Field(default=60, ge=1, description="Seconds before the first retry.")
    backoff_rate: float = Field(default=2.0, ge=1, description="Factor by which the wait grows with each retry.")


def default_retry_policies() -> tuple[RetryPolicySettings, ...]:
    """Return the default: SageMaker's own faults and missing capacity are retried, the program's errors never."""
    return (RetryPolicySettings(errors=("job_internal_error", "capacity_error"), max_attempts=3),)
