"""What a column contains: its kind, gaps, values and range, and how well it alone predicts the label."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_MONTH = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = (
    r"^\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/]\d{1,2}[-/](\d{4}|\d{2})|\d{1,2}\.\d{1,2}\.\d{4}"
    rf"|\d{{1,2}}[- ]?{_MONTH}[- ]?(\d{{4}}|\d{{2}})|{_MONTH} \d{{1,2}},? \d{{4}})([T ]\d{{1,2}}:\d{{2}}.*)?\s*$"
)
"""Strings that are dates, with or without a time: 2024-01-31, 1/31/2024, 31.1.2024, 31jan2024, January 31, 2024."""
_SORTABLE_DATE = r"^\d{4}[-/.]\d{2}[-/.]\d{2}"
_NUMBER = r"^\s*[-+]?\s*[$€£]?\s*[-+]?(\d{1,3}([,' ]\d{3})+|\d+|\d*[.,]\d+)([.,]\d+)?([eE][-+]?\d+)?\s*[%$€£]?\s*$"
"""Strings that are numbers to a person: 1.5, 1,234, $5, -3%, 1e-3."""
_DIGITS = r"^\d+$"
SMOOTHING = 10.0
"""Weight of the average label rate in a category's smoothed rate, in rows."""


class Kind(StrEnum):
    """How the training treats a column."""

    NUMBER = "number"
    CATEGORY = "category"
    TIME = "date or time"
    OTHER = "other"
    """Nested or binary: not a plain value."""


@dataclass(frozen=True)
class Column:
    """One column of a sample."""

    name: str
    type: str
    kind: Kind
    rows: int
    nulls: int
    distinct: int
    """Number of distinct values without nulls."""
    once: int
    """Number of values that occur once."""
    least: Any = None
    most: Any = None
    number_texts: float = 0.0
    """Share of strings that are numbers, also with a currency, percent sign or separators."""
    other_text: str = ""
    """One of the other strings."""
    sorts: bool = True
    """Whether dates sort by time: strings do if the year comes first, and month and day have two digits."""

    @property
    def null_share(self) -> float:
        """Share of rows without a value."""
        return self.nulls / self.rows if self.rows else 0.0

    @property
    def whole(self) -> bool:
        """Whether it contains integers or strings, as an identifier does."""
        return self.type.startswith(("int", "uint", "string", "large_string", "decimal"))

    @property
    def unique(self) -> bool:
        """Whether all values are distinct and none is missing."""
        return not self.nulls and self.distinct == self.rows


def kind_of(kind: pa.DataType) -> Kind:
    """Return how the training treats a column of this type."""
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return kind_of(kind.value_type)
    if t.is_boolean(kind) or t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        return Kind.CATEGORY
    if t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind):
        return Kind.NUMBER
    if t.is_null(kind):
        return Kind.CATEGORY
    return Kind.TIME if t.is_temporal(kind) else Kind.OTHER


def is_numeric(kind: pa.DataType) -> bool:
    """Whether a numeric feature may have this type: numbers, decimals, booleans, and a column of nulls alone."""
    return kind_of(kind) is Kind.NUMBER or str(kind) in ("bool", "null")


def describe(name: str, values: pa.ChunkedArray) -> Column:
    """Describe a column of the sample."""
    import pyarrow.compute as pc

    kind = kind_of(values.type)
    rows, text = len(values), str(values.type)
    if kind is Kind.OTHER:
        return Column(name, text, kind, rows, values.null_count, 0, 0)
    plain = plain_values(values)
    counts = pc.value_counts(plain.drop_null())
    once = pc.sum(pc.equal(counts.field("counts"), 1)).as_py() or 0
    sizes = (rows, plain.null_count, len(counts), once)
    if kind is Kind.CATEGORY and len(counts) and text != "bool":
        return _describe_strings(name, text, sizes, counts)
    ends = pc.min_max(plain).as_py() if kind in (Kind.NUMBER, Kind.TIME) else {"min": None, "max": None}
    return Column(name, text, kind, *sizes, ends["min"], ends["max"])


def _describe_strings(name: str, kind: str, sizes: tuple[int, int, int, int], counts: pa.StructArray) -> Column:
    """Return what a column of strings contains: dates and numbers are often written as such."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values, weights = counts.field("values").cast(pa.string()), counts.field("counts")
    if pc.all(pc.match_substring_regex(values, _DATE)).as_py():
        sorts = pc.all(pc.match_substring_regex(values, _SORTABLE_DATE)).as_py()
        return Column(name, kind, Kind.TIME, *sizes, sorts=sorts)
    numbers = pc.match_substring_regex(values, _NUMBER)
    share = (pc.sum(weights.filter(numbers)).as_py() or 0) / pc.sum(weights).as_py()
    if pc.all(pc.match_substring_regex(values, _DIGITS)).as_py():
        share = 0.0  # strings of digits are codes
    others = values.filter(pc.invert(numbers))
    return Column(
        name, kind, Kind.CATEGORY, *sizes, number_texts=share, other_text=others[0].as_py() if len(others) else ""
    )


def plain_values(values: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without dictionary, with null instead of NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    return array


def class_text(value: object) -> str:
    """Return a label's value as a string, independent of its type: 1, 1.0, "1" and true are the same class."""
    text = str(value)
    if text.lower() in ("true", "false"):
        return "1" if text.lower() == "true" else "0"
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else str(number)


def single_auc(column: Column, values: pa.ChunkedArray, positive: pa.Array) -> float:
    """Return the area under the ROC curve of one column as a score for the label, from 0.5 (useless) to 1 (perfect).

    A category's score is the smoothed rate of the label in the even rows, evaluated on the odd ones: on its own rows,
    an identifier would predict perfectly. Missing values are one category.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    array = plain_values(values)
    if column.kind is Kind.NUMBER:
        known = pc.is_valid(array)
        return _area(array.filter(known).cast(pa.float64(), safe=False), positive.filter(known))
    texts = pc.fill_null(array.cast(pa.string()), "")
    parity = pa.array([i % 2 == 0 for i in range(len(texts))])
    learnt = pa.table({"value": texts.filter(parity), "hit": positive.filter(parity).cast(pa.float64())})
    rate = pc.mean(learnt["hit"]).as_py() or 0.0
    grouped = learnt.group_by("value").aggregate([("hit", "sum"), ("hit", "count")])
    scores = pc.divide(pc.add(grouped["hit_sum"], SMOOTHING * rate), pc.add(grouped["hit_count"], SMOOTHING))
    odd = pc.invert(parity)
    place = pc.index_in(texts.filter(odd), value_set=grouped["value"].combine_chunks())
    scored = pc.fill_null(scores.combine_chunks().take(place), rate)
    return _area(scored, positive.filter(odd))


def _area(scores: pa.Array, positive: pa.Array) -> float:
    """Return the AUC from average ranks, in its better direction."""
    import pyarrow.compute as pc

    hits = pc.sum(positive).as_py() or 0
    others = len(positive) - hits
    if not hits or not others:
        return 0.5
    ranks = pc.add(pc.rank(scores, tiebreaker="min"), pc.rank(scores, tiebreaker="max"))
    of_hits = pc.sum(ranks.filter(positive)).as_py() / 2
    area = (of_hits - hits * (hits + 1) / 2) / (hits * others)
    return float(max(area, 1 - area))
