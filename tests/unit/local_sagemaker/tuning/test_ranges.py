"""Ranges of hyperparameters: what is refused, and that no value leaves its range whatever the scale."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.tuning.ranges import NumericRange, combinations, parse, problems


def numeric(kind: str, low: str, high: str, scaling: str | None = None) -> dict[str, Any]:
    item = {"Name": "x", "MinValue": low, "MaxValue": high} | ({"ScalingType": scaling} if scaling else {})
    return {f"{kind}ParameterRanges": [item]}


@pytest.mark.parametrize(
    ("ranges", "text"),
    [
        ({}, "at least one hyperparameter"),
        (numeric("Integer", "3", "1"), "MinValue 3 must not be greater than MaxValue 1"),
        (numeric("Continuous", "0.2", "0.1"), "MinValue 0.2 must not be greater than MaxValue 0.1"),
        (numeric("Integer", "1.5", "3"), "MinValue must be an integer, found '1.5'"),
        (numeric("Integer", "1", ""), "MaxValue must be an integer, found ''"),
        (numeric("Continuous", "nan", "1"), "MinValue must be a number, found 'nan'"),
        (numeric("Continuous", "0", "1e999"), "MaxValue must be a number"),
        (numeric("Integer", "0", str(2**63)), "must fit into 64 bits"),
        (numeric("Continuous", "0", "1", "Logarithmic"), "Logarithmic needs a MinValue greater than 0"),
        (numeric("Continuous", "0", "1", "ReverseLogarithmic"), "bounds from 0 to below 1"),
        (numeric("Integer", "1", "2", "ReverseLogarithmic"), "only for continuous"),
        (numeric("Integer", "1", "2") | numeric("Continuous", "1", "2"), "'x' more than once"),
        ({"CategoricalParameterRanges": [{"Name": f"n{i}", "Values": ["a"]} for i in range(31)]}, "at most 30"),
    ],
)
def test_a_broken_range(ranges: dict[str, Any], text: str) -> None:
    [problem] = problems(ranges)
    assert text in problem


@pytest.mark.parametrize(
    "ranges",
    [
        numeric("Integer", "1", "1"),
        numeric("Continuous", "-1e308", "1e308"),
        numeric("Continuous", "1e-5", "1", "Logarithmic"),
        numeric("Continuous", "0", "0.999", "ReverseLogarithmic"),
        numeric("Integer", "3", "1") | {"IntegerParameterRanges": [{"Name": "x", "MinValue": {"Get": "Parameters.A"}}]},
        {"IntegerParameterRanges": {"Get": "Parameters.A"}},
    ],
)
def test_what_is_let_by(ranges: dict[str, Any]) -> None:
    assert list(problems(ranges)) == []


SCALES = st.sampled_from(["Linear", "Logarithmic", "ReverseLogarithmic"])


@given(st.floats(1e-9, 0.4), st.floats(0.41, 0.999), SCALES, st.floats(0, 1))
def test_a_continuous_value_stays_in_its_range_and_is_found_again(
    low: float, high: float, scaling: str, unit: float
) -> None:
    item = NumericRange("x", low, high, scaling, is_integer=False)
    text = item.at(unit)
    assert low <= float(text) <= high
    assert item.unit(text) == pytest.approx(unit, abs=1e-6)
    assert [float(item.at(0)), float(item.at(1))] == pytest.approx([low, high])


@given(st.integers(1, 2**62), st.integers(0, 2**62), st.sampled_from(["Linear", "Logarithmic"]), st.floats(0, 1))
def test_an_integer_stays_in_its_range(low: int, width: int, scaling: str, unit: float) -> None:
    item = NumericRange("x", low, low + width, scaling, is_integer=True)
    assert low <= int(item.at(unit)) <= low + width


@pytest.mark.parametrize("scaling", ["Linear", "Logarithmic"])
def test_every_integer_can_come(scaling: str) -> None:
    item = NumericRange("x", 1, 4, scaling, is_integer=True)
    assert {item.at(number / 100) for number in range(101)} == {"1", "2", "3", "4"}
    assert all(item.at(item.unit(str(value))) == str(value) for value in (1, 2, 3, 4))


def test_auto_is_logarithmic_for_a_wide_positive_range() -> None:
    [wide, narrow, negative] = [
        parse(numeric("Continuous", *bounds, "Auto"))[0] for bounds in (("1e-5", "0.1"), ("1", "2"), ("-1", "100"))
    ]
    assert [item.scaling for item in (wide, narrow, negative) if isinstance(item, NumericRange)] == [
        "Logarithmic", "Linear", "Linear",
    ]  # fmt: skip


def test_combinations() -> None:
    ranges = parse(
        {"CategoricalParameterRanges": [{"Name": "a", "Values": ["1", "2", "1"]}, {"Name": "b", "Values": ["x", "y"]}]}
    )
    assert [tuple(item.values()) for item in combinations(ranges)] == [
        ("1", "x"), ("1", "y"), ("2", "x"), ("2", "y"),
    ]  # fmt: skip
