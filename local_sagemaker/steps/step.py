"""One step of a definition, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """One step; those inside a condition have that condition's name and the branch that they belong to."""

    name: str
    type: str
    arguments: dict[str, Any]
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
    retry_policies: tuple[dict[str, Any], ...] = ()
    members: dict[str, Any] = field(default_factory=dict)
    """What only steps of this type have, such as SqsQueueUrl."""

    @property
    def follows(self) -> frozenset[str]:
        """All steps that come before it."""
        return self.needs | self.triggers.keys() | ({self.condition} if self.condition else frozenset())
