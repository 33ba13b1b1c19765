"""What the steps of a promotion hand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sagemaker.promote.decision import ApprovalStatus

if TYPE_CHECKING:
    from airflow_sagemaker.aws.model_registry import Package


@dataclass(frozen=True)
class Scores:
    """What a model and the champion are judged by."""

    metric: str
    value: float
    champion: float | None


@dataclass(frozen=True)
class Judged:
    """A package's status, and what it was judged by."""

    arn: str
    status: str
    reason: str
    scores: Scores
    champion_arn: str | None


@dataclass(frozen=True)
class Comparison:
    """A job of `same_rows`: its number, and the champion that it compares the model with."""

    number: int
    champion: str


@dataclass(frozen=True)
class Pause:
    """In place of a result: read the champion again, once the comparison may have ended if there is one."""

    comparison: Comparison | None


def approval_description(status: str, reason: str) -> str:
    """Return the ApprovalDescription of a decision of the operator.

    It contains the status, because an update that changes the status alone leaves the description as it is.
    """
    return f"airflow-sagemaker: {status}: {reason}"


def is_settled_by_a_person(package: Package) -> bool:
    """Whether somebody else than the operator has approved or rejected a package."""
    decided = package.status in (ApprovalStatus.APPROVED, ApprovalStatus.REJECTED)
    return decided and not package.approval_description.startswith(approval_description(package.status, ""))
