"""Encoding: fitted on train alone, bounded, the same for every type that carries a value."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import QuantileTransformer

from training.errors import DataError
from training.table import encoding
from training.table.encoding import Encoder, Fit, Strange, leveled


def fit(numeric: dict[str, Any] | None = None, categorical: dict[str, Any] | None = None) -> tuple[Encoder, list[str]]:
    columns = {name: pa.array(values) for name, values in {**(numeric or {}), **(categorical or {})}.items()}
    rows = len(next(iter(columns.values())))
    fitted = Fit(numeric or {}, categorical or {}, rows, seed=0)
    for start in range(0, rows, 100):
        batch = {name: column.slice(start, 100) for name, column in columns.items()}
        fitted.add(batch, len(next(iter(batch.values()))))
    return fitted.encoder()


def numbers(encoder: Encoder, values: Any) -> np.ndarray:
    return encoder.encode({"a": pa.array(values)}, len(values)).view(np.float32)[:, 0]


def indices(encoder: Encoder, values: Any, kind: Any = None) -> list[int]:
    return encoder.encode({"a": pa.array(values, kind)}, len(values))[:, 0].tolist()


def test_quantiles_agree_with_scikit_learn() -> None:
    values = np.random.default_rng(0).lognormal(size=3000)
    encoder, _ = fit({"a": values})
    peer = QuantileTransformer(n_quantiles=encoding.KNOTS, output_distribution="normal", subsample=None)
    expected = peer.fit_transform(values[:, None])[:, 0]
    inner = np.abs(expected) < 2.5
    assert numbers(encoder, values)[inner] == pytest.approx(expected[inner], abs=0.02)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1e300, 1e300) | st.none(), min_size=1, max_size=50).filter(
        lambda v: any(x is not None for x in v)
    )
)
def test_scores_keep_the_order_and_stay_bounded(values: list[float | None]) -> None:
    encoder, _ = fit({"a": pa.array(values, pa.float64())})
    scores = numbers(encoder, pa.array(values, pa.float64()))
    assert [np.isnan(s) for s in scores] == [v is None for v in values]
    kept = sorted((v, s) for v, s in zip(values, scores, strict=True) if v is not None)
    assert all(a[1] <= b[1] for a, b in itertools.pairwise(kept))
    assert all(abs(s) <= 4 for _, s in kept)
    assert np.abs(numbers(encoder, [-np.finfo(float).max, np.finfo(float).max])).max() <= 4


@pytest.mark.parametrize("unit", [1.0, 1e-12])
def test_a_frequent_value_leaves_the_range_to_the_others(unit: float) -> None:
    """Nine of ten rows have a gain of zero: the others are as far apart as if these rows were few."""
    gains = np.linspace(1, 2, 100) * unit
    encoder, _ = fit({"a": [0.0] * 900 + list(gains)})
    few, _ = fit({"a": [0.0] * 2 + list(gains)})
    assert numbers(encoder, [0.0])[0] < -2
    assert numbers(encoder, gains) == pytest.approx(numbers(few, gains), abs=0.05)


def test_few_values_are_evenly_apart() -> None:
    middles = (0.125, 0.375, 0.625, 0.875)
    encoder, _ = fit({"a": [1] * 70 + [2] * 20 + [3] * 9 + [4]})
    assert numbers(encoder, [1, 2, 3, 4]) == pytest.approx([NormalDist().inv_cdf(p) for p in middles], abs=1e-5)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60), st.integers(2, 48))
def test_no_weight_exceeds_its_share(counts: list[int], pieces: int) -> None:
    weights = leveled(np.array(counts), 1 / pieces)
    assert len(weights) == len(counts)
    if len(counts) <= pieces:
        assert set(weights) == {1.0}
        return
    assert weights.max() <= weights.sum() / pieces * (1 + 1e-9)
    cut = weights < counts
    assert np.array_equal(weights[~cut], np.array(counts)[~cut])
    if cut.any():  # no more than necessary
        assert weights[cut] == pytest.approx(weights.sum() / pieces)


def test_categories_are_ranked_by_frequency_and_zero_is_for_the_rest() -> None:
    encoder, _ = fit(categorical={"a": ["x", "y", "y", None, "日本"]})
    assert encoder.cardinalities == [4]
    assert indices(encoder, ["y", "x", "日本", "new", None]) == [1, 2, 3, 0, 0]


def test_rare_values_share_zero_in_a_large_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "RARE_FROM_ROWS", 10)
    encoder, _ = fit(categorical={"a": ["x"] * 9 + ["y"] * 4})
    assert indices(encoder, ["x", "y"]) == [1, 0]


def test_huge_cardinality_is_cut_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "VOCABULARY", 10)
    encoder, warnings = fit(categorical={"a": [f"v{i:04}" for i in range(500)] * 2})
    assert encoder.cardinalities == [11]
    assert warnings == ["column a has 500 different values in train: the 10 most frequent ones are kept"]


def test_columns_without_information_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "RARE_FROM_ROWS", 10)
    ids = [f"id {i}" for i in range(20)]
    _, warnings = fit(
        {"one": [7] * 20, "gaps": [7, None] * 10}, {"same": ["x"] * 20, "some": ["x", None] * 10, "id": ids}
    )
    assert warnings == [
        "column one is constant in train: remove it from the feature lists",
        "column same is constant in train: remove it from the feature lists",
        "column id has no value that occurs 5 times in train: remove it from the feature lists",
    ]


WRITTEN = {
    "int8": lambda n: pa.array([n], pa.int8()),
    "uint64": lambda n: pa.array([n], pa.uint64()),
    "float16": lambda n: pa.array([np.float16(n)]),
    "float32": lambda n: pa.array([n], pa.float32()),
    "float64": lambda n: pa.array([n], pa.float64()),
    "decimal128": lambda n: pa.array([Decimal(n)], pa.decimal128(10, 2)),
    "decimal128 of no scale": lambda n: pa.array([Decimal(n)], pa.decimal128(10, 0)),
    "decimal256": lambda n: pa.array([Decimal(n)], pa.decimal256(40, 9)),
    "text": lambda n: pa.array([f"{n}"]),
    "text with a point": lambda n: pa.array([f"{n}.0"], pa.large_string()),
    "text view": lambda n: pa.array([f"{n}.00"], pa.string_view()),
    "dictionary of numbers": lambda n: pa.array([n]).dictionary_encode(),
    "dictionary of texts": lambda n: pa.array([f"{n}"]).dictionary_encode(),
}
"""The same whole number in each kind of column that a parquet file, a JSON body or a CSV may hold."""


def joined(write: Any, numbers: list[int]) -> Any:
    arrays = [write(n) for n in numbers]
    return pa.concat_arrays([a.dictionary_decode() if pa.types.is_dictionary(a.type) else a for a in arrays])


@pytest.mark.parametrize("trained", WRITTEN)
def test_a_number_is_the_same_category_in_any_type(trained: str) -> None:
    encoder, _ = fit(categorical={"a": joined(WRITTEN[trained], [9, 9, 9, 7, 7, 0])})
    for name, write in WRITTEN.items():
        for value, index in ((9, 1), (7, 2), (0, 3), (8, 0)):
            assert encoder.encode({"a": write(value)}, 1)[0, 0] == index, (trained, name, value)


TRUTHS = {
    "bool": pa.array([True, False]),
    "pandas' CSV": pa.array(["True", "False"]),
    "spark's CSV": pa.array(["true", "false"]),
    "shouted": pa.array(["TRUE", "FALSE"]),
    "int": pa.array([1, 0]),
    "float": pa.array([1.0, 0.0]),
    "decimal": pa.array([Decimal("1.0"), Decimal("0.0")], pa.decimal128(4, 1)),
    "text of a number": pa.array(["1", "0"]),
}


@pytest.mark.parametrize("trained", TRUTHS)
def test_a_truth_is_the_same_category_in_any_type(trained: str) -> None:
    encoder, _ = fit(categorical={"a": TRUTHS[trained].take(pa.array([0, 0, 1]))})
    for name, column in TRUTHS.items():
        assert encoder.encode({"a": column}, 2)[:, 0].tolist() == [1, 2], (trained, name)


@settings(max_examples=60, deadline=None)
@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9),
    st.integers(6, 12),
)
def test_a_fraction_is_the_same_category_in_any_type(value: Decimal, scale: int) -> None:
    encoder, _ = fit(categorical={"a": pa.array([value], pa.decimal128(38, scale))})
    number = float(value)
    for column in (pa.array([number]), pa.array([str(number)]), pa.array([json.dumps(number)]), pa.array([str(value)])):
        assert encoder.encode({"a": column}, 1)[0, 0] == 1, column


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e6, 1e6, width=32))
def test_a_short_float_is_the_same_category_as_its_double(value: float) -> None:
    """A float32's 0.1 becomes 0.10000000149011612 in Python's lists and in JSON, and stays 0.1 in a CSV file."""
    encoder, _ = fit(categorical={"a": pa.array([value], pa.float32())})
    printed = str(np.float32(value))
    for column in (pa.array([value]), pa.array([json.dumps(value)]), pa.array([printed]), pa.array([float(printed)])):
        assert encoder.encode({"a": column}, 1)[0, 0] == 1, column


def test_a_letter_and_its_accent_are_one_character_or_two() -> None:
    encoder, _ = fit(categorical={"a": ["cafe\u0301", "caf\xe9", "x"]})
    assert encoder.cardinalities == [3]
    assert indices(encoder, ["caf\xe9", "cafe\u0301", "cafe"]) == [1, 1, 0]


def test_an_empty_string_is_missing_as_in_a_csv_file() -> None:
    encoder, _ = fit(categorical={"a": ["", None, "x", "x", " "]})
    assert encoder.categorical[0].values == ("x", " ")
    strange = Strange()
    encoder.encode({"a": pa.array(["", None, " "])}, 3, strange)
    assert dict(strange.missing) == {"a": 2}


def test_decimals_that_no_float_tells_apart_stay_apart() -> None:
    values = [Decimal("0.12345678901234567890"), Decimal("0.12345678901234567891")]
    encoder, _ = fit(categorical={"a": pa.array(values, pa.decimal128(30, 20))})
    assert encoder.cardinalities == [3]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([date(2013, 7, 4)]),
        pa.array([datetime(2013, 7, 4, tzinfo=UTC)]),
        pa.array([timedelta(days=1)]),
        pa.array([datetime(2013, 7, 4)]).dictionary_encode(),
    ],
)
def test_dates_are_refused_with_what_to_do(column: pa.Array) -> None:
    for columns in ({"numeric": {"a": column}}, {"categorical": {"a": column}}):
        with pytest.raises(DataError, match=r"column a contains dates or times .*days since an event"):
            fit(**columns)


def test_versions_and_leading_zeros_stay_texts() -> None:
    encoder, _ = fit(categorical={"a": ["1.1", "1.1", "1.10"]})
    assert indices(encoder, ["1.1", "1.10", "1.100"]) == [1, 2, 0]
    encoder, _ = fit(categorical={"a": ["007", "7", "7"]})
    assert indices(encoder, ["7", "007", "7.0"]) == [1, 2, 0]


def test_what_a_text_means_does_not_depend_on_its_neighbours() -> None:
    encoder, _ = fit(categorical={"a": [9, 9, 7, 2**53 + 1]})
    assert indices(encoder, ["9.0", "abc", None]) == [1, 0, 0]
    assert indices(encoder, [str(2**53 + 1), "7.0", "nan"]) == [3, 2, 0]


def test_what_train_does_not_have_is_counted() -> None:
    encoder, _ = fit({"n": [1.0, 2.0, 3.0]}, {"c": ["x", "y", "x"]})
    strange = Strange()
    columns = {"n": pa.array([1000.0, 2.0, None, 0.5]), "c": pa.array(["x", "z", None, None])}
    encoder.encode(columns, 4, strange)
    assert dict(strange.unseen) == {"n": 2, "c": 1}
    assert dict(strange.missing) == {"n": 1, "c": 2}
    assert strange.rows == 4


def test_an_identifier_in_a_small_table_is_reported_and_not_memorised() -> None:
    encoder, warnings = fit(categorical={"a": [f"id {i}" for i in range(300)]})
    assert encoder.cardinalities == [1]
    assert warnings == ["column a has no value that occurs 5 times in train: remove it from the feature lists"]
    names = [f"name {i}" for i in range(200)] + ["Smith"] * 100
    encoder, warnings = fit(categorical={"a": names})
    assert encoder.cardinalities == [2]
    assert warnings == [
        "column a looks like an identifier (most of its values occur once): remove it from the feature lists"
    ]


def test_large_floats_are_told_apart() -> None:
    encoder, _ = fit(categorical={"a": [1e300, 1e300, 1e300, 2e19, 2e19, float("inf")]})
    assert indices(encoder, [1e300, 2e19, float("inf"), 1e19]) == [1, 2, 3, 0]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_a_text_is_no_number(kind: pa.DataType) -> None:
    with pytest.raises(DataError, match=f"column a must be numeric, found {kind}$"):
        fit({"a": pa.array(["1"], kind)})
    with pytest.raises(DataError, match=rf"column a must be numeric, found {kind} \('1,5'\)$"):
        fit({"a": pa.array(["1", None, "NA", "1,5"], kind)})


def test_survives_json() -> None:
    encoder, _ = fit({"a": [0.1, 0.2, None]}, {"b": ["ü", "'", "x"]})
    assert Encoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder
    assert encoder.numeric[0].missing


def test_sampling_leaves_the_quantiles_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=20_000)
    whole, _ = fit({"a": values})
    monkeypatch.setattr(encoding, "SAMPLE_ROWS", 5_000)
    part, _ = fit({"a": values})
    assert numbers(part, [-1.0, 0.0, 1.0]) == pytest.approx(numbers(whole, [-1.0, 0.0, 1.0]), abs=0.06)


def test_a_large_table_with_few_numbers_is_refused_with_their_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "SAMPLE_ROWS", 1)
    with pytest.raises(DataError, match="column a contains only 2 numbers in the 10000 rows of train"):
        fit({"a": [1.0, 2.0, *[None] * 9_998]})


def test_infinite_and_empty_columns_are_refused() -> None:
    with pytest.raises(DataError, match="column a contains 1 infinite values"):
        fit({"a": [1.0, float("inf")]})
    with pytest.raises(DataError, match="column a contains no number in train"):
        fit({"a": pa.nulls(3, pa.float64())})
