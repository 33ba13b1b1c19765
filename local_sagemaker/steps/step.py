"""A checked step of a definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Required, TypeAlias, TypedDict

from local_sagemaker.types import JsonObject

Arguments: TypeAlias = JsonObject
"""A step's arguments, which may contain expressions."""


class RetryPolicy(TypedDict, total=False):
    """One of a step's RetryPolicies, checked."""

    ExceptionType: Required[list[str]]
    IntervalSeconds: float
    BackoffRate: float
    MaxAttempts: float
    ExpireAfterMin: float


@dataclass(frozen=True)
class Step:
    """A step. One inside a condition has that condition's name and its branch."""

    name: str
    type: str
    arguments: Arguments
    display_name: str | None = None
    description: str | None = None
    needs: frozenset[str] = frozenset()
    """The steps that must succeed first: those in DependsOn, and those whose properties it uses."""
    triggers: Mapping[str, str] = field(default_factory=dict)
    """The steps that must end first with another Trigger than Completed: Failed, Stopped or Any."""
    condition: str | None = None
    branch: bool = True
    cache_days: float | None = None
    """The maximum age of a cached result in days; None if caching is disabled."""
    property_files: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The output and path of each property file, by name."""
    retry_policies: tuple[RetryPolicy, ...] = ()
    members: JsonObject = field(default_factory=dict)
    """Members that only this step type has, such as SqsQueueUrl."""

    @property
    def follows(self) -> frozenset[str]:
        """All steps that must end before it."""
        return self.needs | self.triggers.keys() | ({self.condition} if self.condition else frozenset())
