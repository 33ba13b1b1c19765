"""How far a column's values have moved: the population stability index (PSI) of a sample against an earlier one.

preprocessing/quality/drift.py, which is shipped without this package, computes the same; a test compares the two.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sagemaker.table.columns import class_text, plain_values

if TYPE_CHECKING:
    import pyarrow as pa

BINS = 10
MOST_VALUES = 50
"""Values of a category with their own bins, the most frequent ones; the others share a bin."""


@dataclass(frozen=True)
class Profile:
    """A column of a sample: its sorted numbers, or the rows of each string."""

    numbers: Sequence[float] | None
    texts: Counter[str]
    missing: int

    @property
    def rows(self) -> int:
        """Rows of the sample."""
        return self.missing + (len(self.numbers) if self.numbers is not None else self.texts.total())


def profile_numbers(pieces: Sequence[pa.Array]) -> Profile:
    """Return the profile of a numeric feature."""
    import pyarrow as pa

    arrays = [plain_values(piece) for piece in pieces]
    known = pa.concat_arrays([array.drop_null().cast(pa.float64(), safe=False) for array in arrays])
    return Profile(known.sort().to_pylist(), Counter(), sum(array.null_count for array in arrays))


def profile_texts(pieces: Sequence[pa.Array]) -> Profile:
    """Return the profile of a categorical feature; equal values of different types are one."""
    import pyarrow.compute as pc

    arrays = [plain_values(piece) for piece in pieces]
    texts: Counter[str] = Counter()
    for array in arrays:
        for item in pc.value_counts(array.drop_null()).to_pylist():
            texts[class_text(item["values"])] += item["counts"]
    return Profile(None, texts, sum(array.null_count for array in arrays))


def psi(before: Profile, after: Profile) -> float:
    """Return the sum over all bins of (b - a) * ln(b / a), where b and a are the shares of rows before and after.

    Missing values are one more bin. An empty bin counts as half a row, unless it is empty in both.
    """
    if not before.rows or not after.rows:
        return 0.0
    pairs = [*_pairs(before, after), (before.missing, after.missing)]
    shares = [(max(n, 0.5) / before.rows, max(m, 0.5) / after.rows) for n, m in pairs if n or m]
    return math.fsum((b - a) * math.log(b / a) for a, b in shares)


def by_chance(before: Profile, after: Profile) -> float:
    """Return the average PSI of two samples from the same distribution, which is larger for fewer rows."""
    return max(len(_pairs(before, before)) - 1, 0) * (1 / max(before.rows, 1) + 1 / max(after.rows, 1))


def _pairs(before: Profile, after: Profile) -> list[tuple[int, int]]:
    """The rows of each bin before and after."""
    if before.numbers is not None and after.numbers is not None:
        edges = _deciles(before.numbers)
        return list(zip(_between(before.numbers, edges), _between(after.numbers, edges), strict=True))
    named = [text for text, _ in before.texts.most_common(MOST_VALUES)]
    pairs = [(before.texts[text], after.texts[text]) for text in named]
    rare = before.texts.keys() - {*named}
    if rare:
        pairs.append((sum(before.texts[text] for text in rare), sum(after.texts[text] for text in rare)))
    new = [rows for text, rows in after.texts.items() if text not in before.texts]
    return [*pairs, *((0, rows) for rows in (new if len(new) <= MOST_VALUES else [sum(new)]))]


def _deciles(ordered: Sequence[float]) -> list[float]:
    """Return the deciles: values of the sample, as polars' `quantile` returns them (the nearest one)."""
    last = len(ordered) - 1
    return sorted({ordered[_nearest(last * place / BINS)] for place in range(1, BINS)}) if ordered else []


def _nearest(place: float) -> int:
    """The nearest whole number, halves away from zero."""
    return math.floor(place + 0.5)


def _between(ordered: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Return the number of values up to the first edge, up to the second, and so on, and above the last."""
    ends = [*(bisect_right(ordered, edge) for edge in edges), len(ordered)]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
