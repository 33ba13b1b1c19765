"""The ranges of a tuning job's hyperparameters: their rules, and their mapping to the unit interval."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from local_sagemaker.expressions.typed_text import from_text
from local_sagemaker.expressions.values import is_expression
from local_sagemaker.types import JsonMapping, JsonObject

_MAX_RANGES = 30
"""Maximum hyperparameters of a tuning job (service quota)."""
_AUTO_LOGARITHMIC = 100.0
"""With the scaling Auto, a positive range is searched logarithmically if its bounds have at least this ratio."""
_NUMERIC = {"IntegerParameterRanges": "Integer", "ContinuousParameterRanges": "Float"}
_CATEGORICAL = "CategoricalParameterRanges"


@dataclass(frozen=True)
class NumericRange:
    """An integer or continuous range, bounds included."""

    name: str
    low: float
    high: float
    scaling: str
    is_integer: bool

    def at(self, unit: float) -> str:
        """The value at a position from 0 to 1 on the range's scale, as a string."""
        low, high = self._ends()
        value = self._inverse(low * (1 - unit) + high * unit)
        if self.is_integer:
            value = round(value)
        return str(min(max(value, self.low), self.high))

    def unit(self, text: str) -> float:
        """The position of a value, from 0 to 1."""
        low, high = self._ends()
        if low == high:
            return 0.5
        return min(max((self._scaled(float(text)) - low) / (high - low), 0.0), 1.0)

    def _ends(self) -> tuple[float, float]:
        margin = 0.5 if self.is_integer else 0.0  # so that the first and last integer are as likely as the others
        return self._scaled(self.low - margin), self._scaled(self.high + margin)

    def _scaled(self, value: float) -> float:
        if self.scaling == "Logarithmic":
            return math.log(value)
        return -math.log1p(-value) if self.scaling == "ReverseLogarithmic" else value

    def _inverse(self, value: float) -> float:
        if self.scaling == "Logarithmic":
            return math.exp(value)
        return -math.expm1(-value) if self.scaling == "ReverseLogarithmic" else value


@dataclass(frozen=True)
class CategoricalRange:
    """The values of a categorical hyperparameter."""

    name: str
    values: tuple[str, ...]


Range = NumericRange | CategoricalRange


def problems(ranges: JsonMapping) -> Iterator[str]:
    """Yield a message for each of the service's rules that the ranges break; expressions are skipped."""
    items = [(kind, item) for kind in (*_NUMERIC, _CATEGORICAL) for item in _items(ranges, kind)]
    names = [item["Name"] for _, item in items if isinstance(item.get("Name"), str)]
    if not items and not any(is_expression(value) for value in ranges.values()):
        yield "ParameterRanges must have at least one hyperparameter to search"
    if len(items) > _MAX_RANGES:
        yield f"ParameterRanges has {len(items)} hyperparameters, at most {_MAX_RANGES} can be searched"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"ParameterRanges has the hyperparameter '{name}' more than once"
    for kind, item in items:
        if kind in _NUMERIC:
            yield from _numeric_problems(kind, item)


def parse(ranges: JsonMapping) -> list[Range]:
    """The ranges of a checked request."""
    found: list[Range] = [
        CategoricalRange(item["Name"], tuple(dict.fromkeys(item["Values"]))) for item in _items(ranges, _CATEGORICAL)
    ]
    for kind, type_ in _NUMERIC.items():
        for item in _items(ranges, kind):
            low, high = (_number(type_, item[bound]) for bound in ("MinValue", "MaxValue"))
            scaling = _scaling(item.get("ScalingType") or "Auto", low, high)
            found.append(NumericRange(item["Name"], low, high, scaling, is_integer=type_ == "Integer"))
    return found


def names(ranges: JsonMapping) -> set[str]:
    """The names of the searched hyperparameters."""
    return {str(item.get("Name")) for kind in (*_NUMERIC, _CATEGORICAL) for item in _items(ranges, kind)}


def combinations(ranges: list[Range]) -> Iterator[dict[str, str]]:
    """Yield every combination of categorical values, in a fixed order."""
    categories = [item for item in ranges if isinstance(item, CategoricalRange)]
    for values in itertools.product(*(item.values for item in categories)):
        yield {item.name: value for item, value in zip(categories, values, strict=True)}


def count_combinations(ranges: JsonMapping) -> int:
    """The number of combinations of categorical values."""
    return math.prod(len(set(item["Values"])) for item in _items(ranges, _CATEGORICAL))


def has_numbers(ranges: JsonMapping) -> bool:
    """Whether there are integer or continuous ranges."""
    return any(_items(ranges, kind) for kind in _NUMERIC)


def _items(ranges: JsonMapping, kind: str) -> list[JsonObject]:
    items = ranges.get(kind)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _numeric_problems(kind: str, item: JsonMapping) -> Iterator[str]:
    where, bounds = f"{kind}: '{item.get('Name')}'", []
    for member in ("MinValue", "MaxValue"):
        text = item.get(member)
        if not isinstance(text, str):  # an expression, or rejected by the model
            return
        try:
            bounds.append(_number(_NUMERIC[kind], text))
        except ValueError:
            word = "an integer" if kind == "IntegerParameterRanges" else "a number"
            yield f"{where}: {member} must be {word}, found '{text[:100]}'"
            return
    low, high = bounds
    if low > high:
        yield f"{where}: MinValue {low} must not be greater than MaxValue {high}"
    elif max(abs(low), abs(high)) >= 2.0**63 and kind == "IntegerParameterRanges":
        yield f"{where}: MinValue and MaxValue must fit into 64 bits"
    elif item.get("ScalingType") == "Logarithmic" and low <= 0:
        yield f"{where}: the scaling Logarithmic needs a MinValue greater than 0, found {low}"
    elif item.get("ScalingType") == "ReverseLogarithmic":
        if kind == "IntegerParameterRanges":
            yield f"{where}: the scaling ReverseLogarithmic is only for continuous hyperparameters"
        elif low < 0 or high >= 1:
            yield f"{where}: the scaling ReverseLogarithmic needs bounds from 0 to below 1, found {low} and {high}"


def _number(type_: str, text: str) -> float:
    value = from_text(type_, text)
    assert isinstance(value, int | float)  # noqa: S101
    return value


def _scaling(asked: str, low: float, high: float) -> str:
    if asked != "Auto":
        return asked
    return "Logarithmic" if low > 0 and high / low >= _AUTO_LOGARITHMIC else "Linear"
