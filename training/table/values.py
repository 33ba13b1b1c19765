"""Which values are equal, whatever their type and file format.

A column may be decimal in one split and integer in another, boolean in parquet and the string "True" in a CSV. Here
every plain value has one string: whole numbers without a point, booleans as true and false, other strings in Unicode's
composed form. An empty string is missing, as in a CSV file. What a column's training values have in common (see
`kind_of`) then decides how the strings of other tables are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from training.errors import ColumnError

TEXT, NUMBER, BOOLEAN = "text", "number", "boolean"
EXACT_INTEGERS = 2.0**53  # below it every integer is a float64
INTEGERS = 2.0**63  # below it every whole float is an int64
NUMERAL = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
PLAIN_NUMERAL = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|-?inf")
"""What counts as a number in a column of strings: 007 is a name."""

MISSING: list[str] = pyarrow.csv.ConvertOptions().null_values
"""How a CSV file writes that there is no number (NA, null, n/a ...): what reading it into Parquet makes null. (Not an
array: PyArrow imports pandas, if it is installed, when it makes the first one.)"""

BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
"""Types of raw bytes; a UUID is of the last one."""


def to_numbers(column: pa.Array, name: str) -> np.ndarray:
    """Return a column as float64, missing values as NaN. Raises ColumnError for anything but numbers."""
    column = _plain(column, name)
    if is_text(column.type):
        raise ColumnError(f"column {name} must be numeric, found {column.type}{_example(column, name)}")
    try:
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        numbers: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ColumnError(f"column {name} must be numeric, found {column.type}") from None
    infinite = int(np.isinf(numbers).sum())
    if infinite:
        raise ColumnError(f"column {name} contains {infinite} infinite values; write null where there is no number")
    return numbers


def to_texts(column: pa.Array, name: str, kind: str = TEXT) -> pa.Array:
    """Return each value's one string, read as `kind`. Raises ColumnError for dates, lists and the like."""
    column = _plain(column, name)
    if pa.types.is_boolean(column.type):
        texts = column.cast(pa.string())
    elif pa.types.is_floating(column.type):
        texts = _from_floats(column)
    elif pa.types.is_decimal(column.type):
        texts = _by_value(column, _from_decimal)
    else:
        try:
            texts = column.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise ColumnError(f"column {name} must contain plain values, found {column.type}") from None
        if is_text(column.type):
            texts = _normalized(texts, name)
            texts = pc.if_else(pc.equal(texts, ""), None, texts)
            word = pc.match_substring_regex(texts, "^(true|false)$", ignore_case=True)
            texts = pc.if_else(word, pc.utf8_lower(texts), texts)
    return read_as(texts, kind)


def read_as(texts: pa.Array, kind: str) -> pa.Array:
    """Return strings as a column of this kind writes its values."""
    if kind == TEXT:
        return texts
    floats = pc.if_else(pc.match_substring_regex(texts, NUMERAL), texts, None).cast(pa.float64())
    exact = pc.fill_null(pc.less(pc.abs(floats), EXACT_INTEGERS), False)
    texts = pc.if_else(exact, _from_floats(floats), texts)
    pairs = {"1": "true", "0": "false"} if kind == BOOLEAN else {"true": "1", "false": "0"}
    for found, wanted in pairs.items():
        texts = pc.if_else(pc.equal(texts, found), wanted, texts)
    return texts


def kind_of(values: Collection[str]) -> str:
    """Return what a column's values are: booleans, numbers or strings.

    Strings that would be equal as numbers (the versions 1.1 and 1.10) stay strings, and so do those with leading zeros.
    """
    if values and {"true", "false"}.issuperset(values):
        return BOOLEAN
    if not values or not all(PLAIN_NUMERAL.fullmatch(value) for value in values):
        return TEXT
    same = read_as(pa.array(values, pa.string()), NUMBER).to_pylist()
    return NUMBER if len(set(same)) == len(same) else TEXT


def from_text(value: str, kind: str) -> str | bool | int | float:
    """Return the JSON value that a string of this kind stands for."""
    if kind == BOOLEAN:
        return value == "true"
    if kind == NUMBER:
        return float(value) if re.search(r"[.einf]", value) else int(value)
    return value


def parsed(column: pa.Array) -> pa.Array:
    """Return a column of strings as numbers if all of them are numbers, booleans or MISSING; any other as it is."""
    if not is_text(column.type):
        return column
    texts = to_texts(column, "")
    try:
        present = pc.if_else(pc.is_in(texts, pa.array(MISSING, pa.string())), None, texts)
        return read_as(present, NUMBER).cast(pa.float64())
    except pa.ArrowInvalid:
        return column


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's three string types."""
    return any(same(kind) for same in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _example(column: pa.Array, name: str) -> str:
    """Return a column's first string that is not a number, to be added to a message."""
    texts = _normalized(column.cast(pa.string()), name)
    known = pc.or_(pc.match_substring_regex(texts, NUMERAL), pc.is_in(texts, pa.array(MISSING, pa.string())))
    strange = texts.filter(pc.invert(known))
    return f" ({strange[0].as_py()[:40]!r})" if len(strange) else ""


def _normalized(texts: pa.Array, name: str) -> pa.Array:
    """Return strings in Unicode's composed form: é is one character or two, depending on the program that wrote it."""
    try:
        return pc.utf8_normalize(texts, form="NFC")
    except pa.ArrowInvalid:
        raise ColumnError(f"column {name} contains text that is not UTF-8; write it as UTF-8") from None


def _plain(column: pa.Array, name: str) -> pa.Array:
    """Return a column as values of Arrow's own types; raises ColumnError for dates, times and bytes."""
    found = column.type
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_temporal(column.type):
        advice = "write the parts that matter as numbers or categories: weekday, hour, days since an event"
        raise ColumnError(f"column {name} contains dates or times ({column.type}), which are not encoded; {advice}")
    if any(same(column.type) for same in BYTES):
        raise ColumnError(f"column {name} must contain plain values, found {found}; write strings")
    return column


def _from_floats(column: pa.Array) -> pa.Array:
    """Return numbers as strings, whole ones without a point; null for NaN."""
    if pa.types.is_float16(column.type):
        halves, place = np.unique(
            column.to_numpy(zero_copy_only=False), return_inverse=True
        )  # Arrow cannot cast them to strings
        column = pa.array(np.array([float(str(half)) for half in halves])[place])
    whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), INTEGERS))
    integers = pc.if_else(whole, column, pa.scalar(None, column.type)).cast(pa.int64(), safe=False)
    narrow = column.cast(pa.float32(), safe=False)
    # A float32's 0.1 is 0.10000000149 in float64.
    single = pc.equal(narrow.cast(pa.float64()), column.cast(pa.float64()))
    fractions = pc.if_else(single, narrow.cast(pa.string()), column.cast(pa.string()))
    texts = pc.coalesce(integers.cast(pa.string()), fractions)
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.string()), texts)


def _from_decimal(value: Decimal) -> str:
    """Return a decimal as the float of the same value is written, or with all its digits if no float equals it."""
    if value == value.to_integral_value() and abs(value) < INTEGERS:
        return str(int(value))
    near = float(value)
    text: str = pa.scalar(near).cast(pa.string()).as_py()
    return text if Decimal(text) == value else format(value.normalize(), "f")


def _by_value(column: pa.Array, convert: Callable[[Decimal], str]) -> pa.Array:
    """Convert each distinct decimal once."""
    coded = column.dictionary_encode()
    texts = [convert(value) for value in coded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)
