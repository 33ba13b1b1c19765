"""How far a column's values have moved: the population stability index (PSI) of rows against a profile of earlier rows.

A partition's manifest contains a profile of each column: a few counts, which later partitions can be compared with.
"""

from __future__ import annotations

import math
from typing import NotRequired, TypedDict

import polars as pl

BINS = 10


class Profile(TypedDict):
    """A column's counts by bin, of numbers (`edges`) or of strings (`values`)."""

    counts: list[int]
    missing: int
    edges: NotRequired[list[float]]
    """Upper bound of each bin but the last, which has none."""
    values: NotRequired[list[str]]


def profile(series: pl.Series) -> Profile:
    """Count a column's values: numbers between their deciles, strings by value."""
    missing = series.null_count()
    if series.dtype.is_numeric():
        quantiles = [series.quantile(i / BINS) for i in range(1, BINS)]
        edges = sorted({float(edge) for edge in quantiles if edge is not None})
        return {"edges": edges, "counts": _between(series, edges), "missing": missing}
    counted = series.drop_nulls().value_counts(name="n").sort(series.name)
    return {"values": counted[series.name].to_list(), "counts": counted["n"].to_list(), "missing": missing}


def psi(before: Profile, after: pl.Series) -> float:
    """Return the sum over all bins of (b - a) * ln(b / a), where b and a are the shares of rows before and after.

    Missing values are one more bin. An empty bin counts as half a row, unless it is empty in both.
    """
    pairs = [*_pairs(before, after), (before["missing"], after.null_count())]
    rows_before, rows_after = sum(before["counts"]) + before["missing"], after.len()
    shares = [(max(n, 0.5) / rows_before, max(m, 0.5) / rows_after) for n, m in pairs if n or m]
    # An exact sum, because bins are in no particular order and equal data must give equal manifests.
    total: float = math.fsum((b - a) * math.log(b / a) for a, b in shares)
    return total


def by_chance(before: Profile, after: pl.Series) -> float:
    """Return the average PSI of two samples from the same distribution, which is larger for fewer rows."""
    counts = before["counts"]
    rows = sum(counts) + before["missing"]
    return (len(counts) - 1) * (1 / max(rows, 1) + 1 / max(after.len(), 1))


def _pairs(before: Profile, after: pl.Series) -> list[tuple[int, int]]:
    if "edges" in before:
        return list(zip(before["counts"], _between(after, before["edges"]), strict=True))
    now = dict(after.drop_nulls().value_counts(name="n").iter_rows())
    pairs = [(n, now.pop(value, 0)) for value, n in zip(before["values"], before["counts"], strict=True)]
    return [*pairs, *((0, n) for n in now.values())]


def _between(series: pl.Series, edges: list[float]) -> list[int]:
    """Return the number of values up to the first edge, up to the second, and so on, and above the last."""
    values = series.drop_nulls().cast(pl.Float64).sort()
    ends = [*(int(end) for end in values.search_sorted(pl.Series(edges, dtype=pl.Float64), "right")), values.len()]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
