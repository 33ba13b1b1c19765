"""One step of a definition, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Required, TypeAlias, TypedDict

from local_sagemaker.types import JsonObject

Arguments: TypeAlias = JsonObject
"""A step's arguments, with expressions in the place of values that are known only when it runs."""


class RetryPolicy(TypedDict, total=False):
    """One of a step's RetryPolicies, checked."""

    ExceptionType: Required[list[str]]
    IntervalSeconds: float
    BackoffRate: float
    MaxAttempts: float
    ExpireAfterMin: float


@dataclass(frozen=True)
class Step:
    """One step; those inside a condition have that condition's name and the branch that they belong to."""

    name: str
    type: str
    arguments: Arguments
    display_name: str | None = None
    description: str | None = None
    needs: frozenset[str] = frozenset()
    """The steps that must have succeeded first: DependsOn, and those whose properties it uses."""
    triggers: Mapping[str, str] = field(default_factory=dict)
    """The steps that must have ended otherwise first, and how: Failed, Stopped or Any."""
    condition: str | None = None
    branch: bool = True
    cache_days: float | None = None
    """For how long an earlier result is taken, in days; None: caching is off."""
    property_files: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Output and path of each property file, by its name."""
    retry_policies: tuple[RetryPolicy, ...] = ()
    members: JsonObject = field(default_factory=dict)
    """What only steps of this type have, such as SqsQueueUrl."""

    @property
    def follows(self) -> frozenset[str]:
        """All steps that come before it."""
        return self.needs | self.triggers.keys() | ({self.condition} if self.condition else frozenset())
