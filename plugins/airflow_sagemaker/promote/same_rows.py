"""Which job compares a model with the champion on the test rows of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sagemaker.aws.comparison_job import Compared, ComparisonJob
from airflow_sagemaker.config.base import default_source_dir
from airflow_sagemaker.definition.source_files import contents_of
from airflow_sagemaker.exceptions import ConfigurationError, Violation

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.model_registry import Package
    from airflow_sagemaker.promote.model_package import Candidate

PROGRAM = "compare.py"


def comparison_job(
    aws: Aws, candidate: Candidate, champion: Package, instance_type: str, source_dir: str | None
) -> ComparisonJob:
    """Return the job; nothing is asked or started yet. Raises ConfigurationError for what cannot be compared."""
    violations = []
    if not candidate.training_job:
        violations.append(Violation("outcome", candidate.execution_arn, "has no training_job_name, as same_rows needs"))
    if not champion.model_artifact:
        violations.append(Violation("champion", champion.arn, "has no ModelDataUrl in its first container"))
    source = contents_of(source_dir or default_source_dir())
    if PROGRAM not in source:
        violations.append(Violation("source_dir", source_dir, f"does not contain {PROGRAM}"))
    if violations:
        raise ConfigurationError(violations, what="promotion")
    return ComparisonJob(
        aws=aws,
        training_job=candidate.training_job,
        model=Compared(candidate.execution_arn, candidate.model_artifact),
        champion=Compared(champion.arn, champion.model_artifact),
        pipeline_name=candidate.execution_arn.split("/")[1],
        instance_type=instance_type,
        source=source,
    )
