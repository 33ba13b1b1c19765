"""From a table's columns to the numbers that the network takes, fitted on the training rows only.

Numeric columns are mapped onto a normal distribution by their quantiles, so that outliers and units do not matter; a
frequent value, such as a zero, does not crowd out the others (see `leveled`). A missing number stays NaN, for which the
network has a separate weight. Categorical columns become indices into a vocabulary, where 0 stands for missing, rare
and unseen values. An encoded row is one run of 32-bit words: numeric features as floats, then categorical ones as
integers, then the label's class if there is one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.errors import ColumnError
from training.json_types import JsonObject
from training.table.values import kind_of, read_as, to_numbers, to_texts

KNOTS = 257  # quantiles per numeric column
PIECES = 48  # of a numeric column's range, which the network distinguishes
TAIL = 1e-4  # probability mass beyond the outermost values: encoded numbers stay within +-3.72
SAMPLE_ROWS = 500_000  # rows that the quantiles are computed from, at most
VOCABULARY = 65_535  # values per categorical column, the most frequent ones
RARE = 5  # values with fewer rows share index 0, so that it is trained too ...
RARE_FROM_ROWS = 5_000  # ... unless the table is smaller than this
COUNTED = 1_000_000  # distinct values counted at a time, which bounds the memory of an identifier column
IDENTIFIER_ROWS = 50  # from so many rows on, a column of mostly unique values is an identifier, and RARE applies


@dataclass(frozen=True)
class NumericColumn:
    """A monotone map from values to scores of a normal distribution, linear between the knots."""

    name: str
    values: tuple[float, ...]
    scores: tuple[float, ...]
    missing: bool
    """Whether values are missing in train: only then does the network learn what that means."""


@dataclass(frozen=True)
class CategoricalColumn:
    """Value i of the vocabulary is encoded as i + 1."""

    name: str
    values: tuple[str, ...]
    kind: str
    """How other tables' values are read: as strings, numbers or booleans (see values.py)."""
    rare: int = 0
    """Rows of train with a value that is not in the vocabulary."""


@dataclass
class Strange:
    """Rows of one split, by column, with values that are not in train."""

    unseen: Counter[str] = field(default_factory=Counter)
    """Categories that are not in the vocabulary, and numbers outside train's range."""
    missing: Counter[str] = field(default_factory=Counter)
    rows: int = 0


@dataclass(frozen=True)
class Encoder:
    """All columns of the model's input, in its order."""

    numeric: tuple[NumericColumn, ...]
    categorical: tuple[CategoricalColumn, ...]

    @property
    def width(self) -> int:
        """Words per encoded row without the label."""
        return len(self.numeric) + len(self.categorical)

    @property
    def cardinalities(self) -> list[int]:
        """Number of indices of each categorical column, index 0 included."""
        return [len(column.values) + 1 for column in self.categorical]

    def encode(self, columns: Mapping[str, pa.Array], rows: int, strange: Strange | None = None) -> np.ndarray:
        """Return the encoded features: int32, rows x width; count in `strange` what is not in train.

        Raises ColumnError for a value of a wrong type.
        """
        encoded = np.empty((rows, self.width), dtype=np.int32)
        floats = encoded.view(np.float32)
        strange = strange or Strange()
        strange.rows += rows
        for i, number in enumerate(self.numeric):
            values = to_numbers(columns[number.name], number.name)
            gaps = np.isnan(values)
            floats[:, i] = np.where(gaps, np.nan, np.interp(values, number.values, number.scores))
            strange.missing[number.name] += int(gaps.sum())
            strange.unseen[number.name] += int(((values < number.values[0]) | (values > number.values[-1])).sum())
        for j, category in enumerate(self.categorical, start=len(self.numeric)):
            texts = to_texts(columns[category.name], category.name, category.kind)
            index = pc.index_in(texts, value_set=pa.array(category.values, pa.string()))
            encoded[:, j] = pc.add(pc.fill_null(index, -1), 1).to_numpy(zero_copy_only=False)
            strange.missing[category.name] += texts.null_count
            strange.unseen[category.name] += index.null_count - texts.null_count
        return encoded

    def to_json(self) -> JsonObject:
        """Return what preprocess.json contains."""
        return {
            "numeric": [vars(column) for column in self.numeric],
            "categorical": [vars(column) for column in self.categorical],
        }

    @classmethod
    def from_json(cls, saved: JsonObject) -> Encoder:
        """Return the encoder that `to_json` saved."""
        return cls(
            tuple(
                NumericColumn(c["name"], tuple(c["values"]), tuple(c["scores"]), c["missing"]) for c in saved["numeric"]
            ),
            tuple(CategoricalColumn(c["name"], tuple(c["values"]), c["kind"], c["rare"]) for c in saved["categorical"]),
        )


class Fit:
    """Collects what an encoder needs from batches of training rows, in bounded memory."""

    def __init__(self, numeric: Iterable[str], categorical: Iterable[str], rows: int, seed: int) -> None:
        self._samples: dict[str, list[np.ndarray]] = {name: [] for name in numeric}
        self._gaps: dict[str, int] = dict.fromkeys(self._samples, 0)
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in categorical}
        self._rows = rows
        self._random = np.random.default_rng(seed)

    def add(self, batch: Mapping[str, pa.Array], rows: int) -> None:
        """Take one batch of columns into account."""
        share = min(1.0, SAMPLE_ROWS / self._rows)
        picked = slice(None) if share == 1 else np.flatnonzero(self._random.random(rows) < share)
        for name, sample in self._samples.items():
            numbers = to_numbers(batch[name], name)
            gaps = np.isnan(numbers)
            self._gaps[name] += int(gaps.sum())
            sample.append(numbers[picked][~gaps[picked]])
        for name, counter in self._counts.items():
            for item in pc.value_counts(to_texts(batch[name], name)).to_pylist():
                if item["values"] is not None:
                    counter[item["values"]] += item["counts"]
            if len(counter) > 2 * COUNTED:
                self._counts[name] = Counter(dict(counter.most_common(COUNTED)))

    def encoder(self) -> tuple[Encoder, list[str]]:
        """Return the encoder, and warnings about columns that are of little or no use."""
        numeric = tuple(self._numeric(name) for name in self._samples)
        categorical = tuple(self._categorical(name) for name in self._counts)
        return Encoder(numeric, categorical), [*self._silent(numeric, categorical), *self._cut()]

    def _silent(self, numeric: Iterable[NumericColumn], categorical: Iterable[CategoricalColumn]) -> list[str]:
        """Return warnings about columns that the network can learn little or nothing from."""
        constant = [c.name for c in numeric if len(c.values) == 1 and not c.missing]
        constant += [name for name, counter in self._counts.items() if list(counter.values()) == [self._rows]]
        rare = [c.name for c in categorical if not c.values]
        identifiers = [c.name for c in categorical if c.values and self._is_identifier(self._counts[c.name])]
        advice = "remove it from the feature lists"
        return [
            *(f"column {name} is constant in train: {advice}" for name in constant),
            *(f"column {name} has no value that occurs {RARE} times in train: {advice}" for name in rare),
            *(
                f"column {name} looks like an identifier (most of its values occur once): {advice}"
                for name in identifiers
            ),
        ]

    def _cut(self) -> list[str]:
        """Return warnings about columns with more values than are kept."""
        return [
            f"column {name} has {len(counter)} different values in train: the {VOCABULARY} most frequent ones are kept"
            for name, counter in self._counts.items()
            if len(counter) > VOCABULARY
        ]

    def _numeric(self, name: str) -> NumericColumn:
        numbers = np.concatenate(self._samples[name])
        if not len(numbers):
            found = self._rows - self._gaps[name]
            if found:  # the sample of a large table has none of them
                what = f"contains only {found} numbers in the {self._rows} rows of train"
                raise ColumnError(f"column {name} {what}; remove it from tab_field_list")
            raise ColumnError(f"column {name} contains no number in train; remove it from tab_field_list")
        values, counts = np.unique(numbers, return_counts=True)
        weights = leveled(counts, 1 / PIECES)
        middles = (weights.cumsum() - weights / 2) / weights.sum()
        if len(values) > KNOTS:
            knots = np.unique(np.searchsorted(middles, np.linspace(middles[0], middles[-1], KNOTS)))
            values, middles = values[knots], middles[knots]
        scores = [NormalDist().inv_cdf(float(p)) for p in np.clip(middles, TAIL, 1 - TAIL)]
        rounded = tuple(round(score, 6) for score in scores)
        return NumericColumn(name, tuple(values.tolist()), rounded, self._gaps[name] > 0)

    def _categorical(self, name: str) -> CategoricalColumn:
        counter = self._counts[name]
        if not counter:
            raise ColumnError(f"column {name} contains no value in train; remove it from cat_field_list")
        kind = kind_of(counter)
        values = read_as(pa.array(counter, pa.string()), kind).to_pylist()
        floor = RARE if self._rows >= RARE_FROM_ROWS or self._is_identifier(counter) else 1
        ranked = sorted(
            (-count, value) for value, count in zip(values, counter.values(), strict=True) if count >= floor
        )
        kept = ranked[:VOCABULARY]
        rare = sum(counter.values()) + sum(count for count, _ in kept)
        return CategoricalColumn(name, tuple(value for _, value in kept), kind, rare)

    def _is_identifier(self, counter: Counter[str]) -> bool:
        """Whether most of the values occur once."""
        once = sum(count == 1 for count in counter.values())
        return self._rows >= IDENTIFIER_ROWS and once > sum(counter.values()) / 2


def leveled(counts: np.ndarray, most: float) -> np.ndarray:
    """Return weights of values for their counts: the largest are cut, so that none exceeds the share `most` of all.

    If there are too few values for that, all weigh the same. Where nine of ten rows have a capital gain of zero, plain
    quantiles leave a tenth of the range to all other amounts. (scikit-learn's QuantileTransformer even puts a frequent
    smallest value at the far end, with all values within 1e-7 of it: with a small enough unit, the whole column.)
    """
    if len(counts) * most <= 1:
        return np.ones(len(counts))
    largest = np.sort(counts)[::-1].astype(float)
    cut = np.arange(math.ceil(1 / most))  # so many values at most are cut, to a weight that depends on the others' sum
    rest = largest.sum() - np.concatenate([[0.0], largest.cumsum()])[cut]
    bounds = most * rest / (1 - cut * most)
    bound = float(bounds[np.argmax(largest[cut] <= bounds)])
    return np.where(counts < bound, counts, bound)
