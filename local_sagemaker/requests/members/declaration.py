"""How a table declares the members of a request, and the members that many requests share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Members:
    """The members of one action's request, as paths such as `Tags[].Key`."""

    done: str = ""
    """Paths of what the server acts on, to the last member; the structures around them are implied."""
    kept: str = ""
    without_effect: Mapping[str, str] = field(default_factory=dict)
    """Paths, with all below them, and why nothing is missed."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Paths, with all below them, and why or what to use; a value that asks for nothing, such as false, is let by."""

    @cached_property
    def structures(self) -> frozenset[str]:
        """The paths that have others below them."""
        paths = [*self.done.split(), *self.without_effect, *self.refused]
        return frozenset(path[:end] for path in paths for end, sign in enumerate(path) if sign in ".[")

    @cached_property
    def leaves(self) -> frozenset[str]:
        """The paths below which nothing need be looked at."""
        return frozenset([*self.done.split(), *self.kept.split(), *self.without_effect]) - self.structures


KEYS = "nothing is encrypted here"
PAGE = "NextToken MaxResults"
SORTED_PAGE = f"{PAGE} SortBy SortOrder"
CREATION_TIMES = "CreationTimeAfter CreationTimeBefore"
TAGS = "Tags[].Key Tags[].Value"
