"""Detects changes of a metric for the worse over partitions, for tasks and pages.

It uses medians and median absolute deviations, so that a single bad day is not a change, and vice versa.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

LEAST = 5
"""Minimum values on each side of a lasting change."""
WINDOW = 14
"""Maximum values on each side that are compared."""
LASTING, SINGLE = 4.0, 5.0
"""Minimum distances of a lasting change and of a single value, in spreads."""
NEIGHBOURS = 6
"""Minimum values around a single one."""


@dataclass(frozen=True)
class Change:
    """A lasting change for the worse; `index` is the first value after it."""

    index: int
    before: float
    after: float
    score: float


def find_change(values: Sequence[float | None], *, higher_is_better: bool = True) -> Change | None:
    """Return where the values became lastingly worse, None if they did not; NaN and None are skipped.

    For each place, the medians of up to WINDOW values on both sides are compared. The difference must be LASTING times
    the spread, and one percent of the level (otherwise, with hardly any noise, everything would be a change). Of
    several places, the one that explains most is returned: its two medians reduce the absolute deviation the most.
    """
    known = [(index, value) for index, value in enumerate(values) if value is not None and math.isfinite(value)]
    best: Change | None = None
    best_gain = -math.inf
    for at in range(LEAST, len(known) - LEAST + 1):
        before = [value for _, value in known[max(0, at - WINDOW) : at]]
        after = [value for _, value in known[at : at + WINDOW]]
        level, then = median(before), median(after)
        fall = level - then if higher_is_better else then - level
        score = fall / max(_spread(before), _spread(after), 1e-9)
        if fall < abs(level) * 0.01 or score < LASTING:
            continue
        both = [*before, *after]
        gain = _deviation(both, median(both)) - _deviation(before, level) - _deviation(after, then)
        if gain > best_gain:
            best, best_gain = Change(known[at][0], level, then, score), gain
    return best


def find_outliers(values: Sequence[float | None]) -> list[int]:
    """Return the indices of single values that are more than SINGLE spreads from the median around them."""
    found = []
    for index, value in enumerate(values):
        if value is None or not math.isfinite(value):
            continue
        near = enumerate(values[max(0, index - WINDOW) : index + WINDOW + 1], max(0, index - WINDOW))
        around = [other for at, other in near if at != index and other is not None and math.isfinite(other)]
        if len(around) < NEIGHBOURS:
            continue
        noise = max(_spread(around), abs(median(around)) * 0.002, 1e-9)
        if abs(value - median(around)) > SINGLE * noise:
            found.append(index)
    return found


def describe_last(
    metric: str, partitions: Sequence[str], values: Sequence[float | None], *, higher_is_better: bool
) -> list[str]:
    """Return sentences about what the newest value shows, each only once and not again with the next value."""
    found = []
    last = len(values) - 1
    if last in find_outliers(values):
        around = [value for value in values[max(0, last - WINDOW) : last] if value is not None]
        level, value = median(around), values[last]
        assert value is not None  # noqa: S101 - an outlier is a number
        if (value < level) == higher_is_better:
            found.append(f"{metric} of {partitions[last]} is {value:g}, the median of earlier partitions {level:g}")
    change = find_change(values, higher_is_better=higher_is_better)
    if change is not None and find_change(values[:-1], higher_is_better=higher_is_better) is None:
        since = partitions[change.index]
        found.append(f"{metric} has been worse since {since}: {change.after:g}, previously {change.before:g}")
    return found


def _spread(values: Sequence[float]) -> float:
    """Return the standard deviation of a normal distribution with this median absolute deviation."""
    centre = median(values)
    return 1.4826 * median([abs(value - centre) for value in values])


def _deviation(values: Sequence[float], centre: float) -> float:
    return sum(abs(value - centre) for value in values)
