"""From a table's columns to the numbers that the network takes, fitted on the training rows alone.

Numeric columns are mapped onto a normal distribution by their quantiles, so that no outlier and no unit matters;
a missing number stays NaN, and the network has a say of its own for it. Categorical columns become indices into a
vocabulary, where 0 stands for missing, rare and never seen. An encoded row is one run of 32-bit words:
numeric features as floats, then categorical ones as integers, then the label as a float when there is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.errors import ColumnError

KNOTS = 257  # quantiles per numeric column
TAIL = 1e-4  # probability mass beyond the outermost values: encoded numbers stay within +-3.72
SAMPLE_ROWS = 500_000  # rows that the quantiles are computed from, at most
VOCABULARY = 65_535  # values per categorical column, the most frequent ones
RARE = 5  # a value seen fewer times shares index 0, so that index 0 is trained too ...
RARE_FROM_ROWS = 5_000  # ... unless the table is smaller than this
COUNTED = 1_000_000  # distinct values counted at a time: bounds the memory of an identifier among the categories
EXACT_INTEGERS = 2.0**53  # below it every integer is a float64
INTEGERS = 2.0**63  # below it every whole float is an int64
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


@dataclass(frozen=True)
class NumericColumn:
    """A monotone map from values to scores of a normal distribution, linear between the knots."""

    name: str
    values: tuple[float, ...]
    scores: tuple[float, ...]
    missing: bool
    """Whether training rows lacked it: only then does the network know what a gap means."""


@dataclass(frozen=True)
class CategoricalColumn:
    """Value i of the vocabulary is encoded as i + 1."""

    name: str
    values: tuple[str, ...]
    numbers: bool
    """Whether the values were numbers in train: then texts such as "9.0" are read as numbers too."""


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

    def encode(self, columns: Mapping[str, pa.Array], rows: int) -> np.ndarray:
        """Return the encoded features: int32, rows x width. Raises ColumnError for a value that is no number."""
        encoded = np.empty((rows, self.width), dtype=np.int32)
        floats = encoded.view(np.float32)
        for i, number in enumerate(self.numeric):
            values = to_numbers(columns[number.name], number.name)
            scores = np.interp(values, number.values, number.scores)
            floats[:, i] = np.where(np.isnan(values), np.nan, scores)
        for j, category in enumerate(self.categorical, start=len(self.numeric)):
            index = pc.index_in(
                to_texts(columns[category.name], category.name, category.numbers),
                value_set=pa.array(category.values, pa.string()),
            )
            encoded[:, j] = pc.add(pc.fill_null(index, -1), 1).to_numpy(zero_copy_only=False)
        return encoded

    def to_json(self) -> dict[str, Any]:
        """Return what preprocess.json keeps."""
        return {
            "numeric": [vars(column) for column in self.numeric],
            "categorical": [vars(column) for column in self.categorical],
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Encoder:
        """Return the encoder that `to_json` saved."""
        return cls(
            tuple(
                NumericColumn(c["name"], tuple(c["values"]), tuple(c["scores"]), c["missing"]) for c in saved["numeric"]
            ),
            tuple(CategoricalColumn(c["name"], tuple(c["values"]), c["numbers"]) for c in saved["categorical"]),
        )


def to_numbers(column: pa.Array, name: str) -> np.ndarray:
    """Return a column as float64, missing values as NaN. Raises ColumnError where it holds what is no number."""
    if is_text(column.type) or pa.types.is_dictionary(column.type):
        raise ColumnError(f"column {name} must be numeric, found {column.type}")
    try:
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        numbers: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ColumnError(f"column {name} must be numeric, found {column.type}") from None
    infinite = int(np.isinf(numbers).sum())
    if infinite:
        raise ColumnError(f"column {name} holds {infinite} infinite values; write null where there is no number")
    return numbers


def to_texts(column: pa.Array, name: str, numbers: bool = False) -> pa.Array:
    """Return a column as strings, 9 and 9.0 as the same one. Raises ColumnError for lists and the like.

    With `numbers` the texts "9" and "9.0" are the same one, too, whatever stands in other rows.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        return _from_floats(column)
    try:
        texts = column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ColumnError(f"column {name} must hold plain values, found {column.type}") from None
    if not numbers or not is_text(column.type):
        return texts
    floats = pc.if_else(pc.match_substring_regex(texts, NUMBER), texts, None).cast(pa.float64())
    exact = pc.fill_null(pc.less(pc.abs(floats), EXACT_INTEGERS), False)
    return pc.if_else(exact, _from_floats(floats), texts)


def _from_floats(column: pa.Array) -> pa.Array:
    """Return numbers as strings, whole ones without a point; null for what is none."""
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())  # Arrow computes with no half floats
    whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), INTEGERS))
    integers = pc.if_else(whole, column, pa.scalar(None, column.type)).cast(pa.int64(), safe=False)
    texts = pc.coalesce(integers.cast(pa.string()), column.cast(pa.string()))
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.string()), texts)


def parsed(column: pa.Array) -> pa.Array:
    """Return a column of texts as numbers where all of them are numbers, anything else as it is."""
    try:
        return column.cast(pa.float64()) if is_text(column.type) else column
    except pa.ArrowInvalid:
        return column


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's three kinds of text."""
    return any(same(kind) for same in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


class Fit:
    """Collects what an encoder needs from batches of training rows, in bounded memory."""

    def __init__(self, numeric: Iterable[str], categorical: Iterable[str], rows: int, seed: int) -> None:
        self._samples: dict[str, list[np.ndarray]] = {name: [] for name in numeric}
        self._gaps: dict[str, int] = dict.fromkeys(self._samples, 0)
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in categorical}
        self._numbers: dict[str, bool] = {}
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
            kind = batch[name].type
            self._numbers[name] = pa.types.is_integer(kind) or pa.types.is_floating(kind)
            for item in pc.value_counts(to_texts(batch[name], name)).to_pylist():
                if item["values"] is not None:
                    counter[item["values"]] += item["counts"]
            if len(counter) > 2 * COUNTED:
                self._counts[name] = Counter(dict(counter.most_common(COUNTED)))

    def encoder(self) -> tuple[Encoder, list[str]]:
        """Return the encoder and warnings about columns that tell the network nothing or not all."""
        numeric = tuple(self._numeric(name) for name in self._samples)
        categorical = tuple(self._categorical(name) for name in self._counts)
        return Encoder(numeric, categorical), [*self._silent(numeric, categorical), *self._cut()]

    def _silent(self, numeric: Iterable[NumericColumn], categorical: Iterable[CategoricalColumn]) -> list[str]:
        """Return warnings about columns that tell the network nothing."""
        constant = [c.name for c in numeric if len(c.values) == 1 and not c.missing]
        constant += [name for name, counter in self._counts.items() if list(counter.values()) == [self._rows]]
        rare = [c.name for c in categorical if not c.values]
        return [
            *(f"column {name} is constant in train: it tells nothing" for name in constant),
            *(f"column {name} has no value that occurs {RARE} times in train: it tells nothing" for name in rare),
        ]

    def _cut(self) -> list[str]:
        """Return warnings about columns with more values than are told apart."""
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
                what = f"holds only {found} numbers in the {self._rows} rows of train"
                raise ColumnError(f"column {name} {what}; take it out of tab_field_list")
            raise ColumnError(f"column {name} holds no number in train; take it out of tab_field_list")
        levels = np.linspace(0, 1, KNOTS)
        values, group = np.unique(np.quantile(numbers, levels), return_inverse=True)
        # Where a value spans several quantiles (a frequent zero), it gets the middle of them. Not so in scikit-learn's
        # QuantileTransformer, which puts a frequent smallest value (no rain) at the far end and, onto a normal
        # distribution, all values within 1e-7 of it as well: the whole of a column of small enough a unit.
        middles = np.bincount(group, levels) / np.bincount(group)
        scores = [NormalDist().inv_cdf(float(p)) for p in np.clip(middles, TAIL, 1 - TAIL)]
        rounded = tuple(round(score, 6) for score in scores)
        return NumericColumn(name, tuple(values.tolist()), rounded, self._gaps[name] > 0)

    def _categorical(self, name: str) -> CategoricalColumn:
        counter = self._counts[name]
        if not counter:
            raise ColumnError(f"column {name} holds no value in train; take it out of cat_field_list")
        floor = RARE if self._rows >= RARE_FROM_ROWS else 1
        kept = sorted((-count, value) for value, count in counter.items() if count >= floor)
        return CategoricalColumn(name, tuple(value for _, value in kept[:VOCABULARY]), self._numbers[name])
