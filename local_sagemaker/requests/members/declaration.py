"""The format of the tables, and members that several requests share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Members:
    """The members of an action's request, as paths such as `Tags[].Key`."""

    done: str = ""
    """Full paths of members that the server uses; the structures around them are implied."""
    kept: str = ""
    without_effect: Mapping[str, str] = field(default_factory=dict)
    """Paths, including everything below them, with the reason why they have no effect."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Paths, including everything below them, with the reason or an alternative. Values such as false are accepted."""

    @cached_property
    def structures(self) -> frozenset[str]:
        """Paths with other paths below them."""
        paths = [*self.done.split(), *self.without_effect, *self.refused]
        return frozenset(path[:end] for path in paths for end, sign in enumerate(path) if sign in ".[")

    @cached_property
    def leaves(self) -> frozenset[str]:
        """Paths below which nothing needs to be checked."""
        return frozenset([*self.done.split(), *self.kept.split(), *self.without_effect]) - self.structures


KEYS = "nothing is encrypted here"
PAGE = "NextToken MaxResults"
SORTED_PAGE = f"{PAGE} SortBy SortOrder"
CREATION_TIMES = "CreationTimeAfter CreationTimeBefore"
TAGS = "Tags[].Key Tags[].Value"
