"""How far a column has moved: the population stability index (PSI) of rows against a profile of earlier rows.

A profile is what a partition's manifest keeps of a column: a few counts, so that later partitions can be compared with
it without its rows.
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
    """Return the counts of a column: numbers between the deciles of their own, texts by value."""
    missing = series.null_count()
    if series.dtype.is_numeric():
        quantiles = [series.quantile(i / BINS) for i in range(1, BINS)]
        edges = sorted({float(edge) for edge in quantiles if edge is not None})
        return {"edges": edges, "counts": _between(series, edges), "missing": missing}
    counted = series.drop_nulls().value_counts(name="n").sort(series.name)
    return {"values": counted[series.name].to_list(), "counts": counted["n"].to_list(), "missing": missing}


def psi(before: Profile, after: pl.Series) -> float:
    """Return the sum over bins of (b - a) * ln(b / a), b and a the shares of rows; missing values are a bin of theirs.

    Empty bins count as half a row; bins that are empty on both sides do not count.
    """
    pairs = [*_pairs(before, after), (before["missing"], after.null_count())]
    rows_before, rows_after = sum(before["counts"]) + before["missing"], after.len()
    shares = [(max(n, 0.5) / rows_before, max(m, 0.5) / rows_after) for n, m in pairs if n or m]
    # An exact sum: texts come in no particular order, and equal data must give an equal manifest.
    total: float = math.fsum((b - a) * math.log(b / a) for a, b in shares)
    return total


def by_chance(before: Profile, after: pl.Series) -> float:
    """Return the PSI that equal columns have on average, because rows are few."""
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
    """Return how many values are at most the first edge, between it and the second, and so on, and above the last."""
    values = series.drop_nulls().cast(pl.Float64).sort()
    ends = [*(int(end) for end in values.search_sorted(pl.Series(edges, dtype=pl.Float64), "right")), values.len()]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
