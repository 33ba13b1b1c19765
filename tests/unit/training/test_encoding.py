"""Encoding: fitted on train alone, bounded, the same for every type that carries a value."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import QuantileTransformer

from training import encoding
from training.encoding import Encoder, Fit
from training.errors import DataError


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


def test_a_frequent_value_gets_the_middle_of_its_quantiles() -> None:
    encoder, _ = fit({"a": [0.0] * 50 + list(np.linspace(1, 2, 50))})
    assert numbers(encoder, [0.0])[0] == pytest.approx(-0.67, abs=0.03)


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
    encoder, warnings = fit(categorical={"a": [f"v{i:04}" for i in range(500)]})
    assert encoder.cardinalities == [11]
    assert warnings == ["column a has 500 different values in train: the 10 most frequent ones are kept"]


def test_columns_that_tell_nothing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "RARE_FROM_ROWS", 10)
    ids = [f"id {i}" for i in range(20)]
    _, warnings = fit(
        {"one": [7] * 20, "gaps": [7, None] * 10}, {"same": ["x"] * 20, "some": ["x", None] * 10, "id": ids}
    )
    assert warnings == [
        "column one is constant in train: it tells nothing",
        "column same is constant in train: it tells nothing",
        "column id has no value that occurs 5 times in train: it tells nothing",
    ]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([9, 7, None], pa.int64()),
        ([9, 7, None], pa.float32()),
        (["9", "7", None], pa.string()),
        (["9.0", "7", None], pa.string()),
        (["9.0", "7", None], pa.large_string()),
        (["9.0", "7", None], pa.string_view()),
        (["9", "7", None], pa.dictionary(pa.int8(), pa.string())),
        (np.array([9, 7, np.nan], dtype=np.float16), pa.float16()),
    ],
)
def test_the_same_category_in_any_type(values: Any, kind: Any) -> None:
    encoder, _ = fit(categorical={"a": [9, 9, 7]})
    assert indices(encoder, values, kind) == [1, 2, 0]


def test_what_a_text_means_does_not_depend_on_its_neighbours() -> None:
    encoder, _ = fit(categorical={"a": [9, 9, 7, 2**53 + 1]})
    assert indices(encoder, ["9.0", "abc", None]) == [1, 0, 0]
    assert indices(encoder, [str(2**53 + 1), "7.0", "nan"]) == [3, 2, 0]


def test_large_floats_are_told_apart() -> None:
    encoder, _ = fit(categorical={"a": [1e300, 1e300, 1e300, 2e19, 2e19, float("inf")]})
    assert indices(encoder, [1e300, 2e19, float("inf"), 1e19]) == [1, 2, 3, 0]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_a_text_is_no_number(kind: pa.DataType) -> None:
    with pytest.raises(DataError, match="column a must be numeric, found"):
        fit({"a": pa.array(["1"], kind)})


def test_texts_with_leading_zeros_are_no_numbers() -> None:
    encoder, _ = fit(categorical={"a": ["007", "7"]})
    assert sorted(indices(encoder, ["007", "7"])) == [1, 2]


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


def test_a_large_table_with_hardly_a_number_is_told_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "SAMPLE_ROWS", 1)
    with pytest.raises(DataError, match="column a holds only 2 numbers in the 10000 rows of train"):
        fit({"a": [1.0, 2.0, *[None] * 9_998]})


def test_infinite_and_empty_columns_are_refused() -> None:
    with pytest.raises(DataError, match="column a holds 1 infinite values"):
        fit({"a": [1.0, float("inf")]})
    with pytest.raises(DataError, match="column a holds no number in train"):
        fit({"a": pa.nulls(3, pa.float64())})
