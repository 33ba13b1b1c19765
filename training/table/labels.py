"""The label's classes: what they are called, in which order, and the index of each row's.

Classes are sorted: numbers by value, strings alphabetically, false before true. Of two classes, the later one is
positive unless `positive_label` names the other.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.errors import ColumnError, HyperparameterError
from training.json_types import JsonObject
from training.table.values import NUMBER, from_text, is_text, kind_of, read_as, to_texts

MOST_CLASSES = 100


@dataclass(frozen=True)
class Classes:
    """The label's values in train; of two, the negative one comes first."""

    values: tuple[str, ...]
    kind: str

    @property
    def names(self) -> list[str | bool | int | float]:
        """The classes as JSON has them."""
        return [from_text(value, self.kind) for value in self.values]

    @property
    def binary(self) -> bool:
        """Whether there are two: then the network has one output, and a threshold decides."""
        return len(self.values) == 2

    def encode(self, column: pa.Array, name: str) -> np.ndarray:
        """Return each row's class as int32. Raises ColumnError for nulls and for a class that is not in train."""
        texts = _label_texts(column, name, self.kind)
        index = pc.index_in(texts, value_set=pa.array(self.values, pa.string()))
        if index.null_count:
            strange = texts.filter(pc.is_null(index))
            expected = ", ".join(self.values[:10])
            what = f"contains {strange[0].as_py()!r}, a class that is not in train ({expected})"
            raise ColumnError(f"label {name} {what}; add rows of it to train, or remove these")
        return np.ascontiguousarray(index.to_numpy(zero_copy_only=False), dtype=np.int32)

    def to_json(self) -> JsonObject:
        """Return what preprocess.json contains."""
        return {"values": list(self.values), "kind": self.kind}

    @classmethod
    def from_json(cls, saved: JsonObject) -> Classes:
        """Return the classes that `to_json` saved."""
        return cls(tuple(saved["values"]), saved["kind"])


class ClassFit:
    """Collects the label's values from batches of training rows."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts: Counter[str] = Counter()

    def add(self, column: pa.Array) -> None:
        """Take one batch into account. Raises ColumnError as soon as there are too many classes."""
        for item in pc.value_counts(_label_texts(column, self._name)).to_pylist():
            self._counts[item["values"]] += item["counts"]
        if len(self._counts) > MOST_CLASSES:
            found = f"{len(self._counts)} or more different {'strings' if is_text(column.type) else 'numbers'}"
            raise ColumnError(
                f"label {self._name} contains {found}; expected 2 to {MOST_CLASSES} classes. Merge rare classes, or"
                " bin a number: regression is not supported"
            )

    def classes(self, positive: str) -> Classes:
        """Return the classes in order; raises ColumnError or HyperparameterError if they are ambiguous."""
        kind = kind_of(self._counts)
        values = read_as(pa.array(self._counts, pa.string()), kind).to_pylist()
        values.sort(key=(lambda text: (float(text), text)) if kind == NUMBER else None)
        infinite = [value for value in values if kind == NUMBER and not math.isfinite(float(value))]
        if infinite:
            raise ColumnError(f"label {self._name} contains {infinite[0]}; expected finite numbers, remove these rows")
        self._check_alike(values)
        if len(values) < 2:
            rows = sum(self._counts.values())
            raise ColumnError(f"label {self._name} has one class only: {rows} rows of {values[0]}")
        if positive:
            wanted = to_texts(pa.array([positive]), self._name, kind)[0].as_py()
            if wanted not in values:
                have = ", ".join(values[:10])
                raise HyperparameterError(
                    f"positive_label {positive!r} is not a class of {self._name}, which has {have}"
                )
            if len(values) > 2:
                have = f"label {self._name} has {len(values)} classes"
                raise HyperparameterError(f"positive_label is for two classes; {have}")
            values.sort(key=lambda value: value == wanted)
        return Classes(tuple(values), kind)

    def _check_alike(self, values: list[str]) -> None:
        seen: dict[str, str] = {}
        for value in values:
            visible = "".join(character for character in value if unicodedata.category(character) != "Cf")
            bare = " ".join(visible.split()).casefold()
            if not bare:
                raise ColumnError(
                    f"label {self._name} contains the blank string {value!r}; write a class, or remove the row"
                )
            if bare in seen:
                alike = f"{seen[bare]!r} and {value!r}, which differ only in case, whitespace or invisible characters"
                raise ColumnError(f"label {self._name} contains {alike}; spell each class one way")
            seen[bare] = value


def _label_texts(column: pa.Array, name: str, kind: str = "text") -> pa.Array:
    try:
        texts = to_texts(column, name, kind)
    except ColumnError as error:
        raise ColumnError(str(error).replace("column", "label", 1)) from None
    if texts.null_count:
        raise ColumnError(f"label {name} is null in {texts.null_count} rows or more")
    return texts
