"""The checks before money is spent: each one fails on the fault it is for, with its numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing import engines, program, raw
from preprocessing.errors import ChecksError
from preprocessing.flights import fields
from preprocessing.flights.table import FLIGHTS
from preprocessing.quality import checks, drift
from preprocessing.quality.parts import Parts
from preprocessing.splits import split
from preprocessing.window import Window

Splits = dict[str, pl.DataFrame]


@pytest.fixture
def splits(raw_folder: Path, window: Window) -> Splits:
    files = raw.paths(FLIGHTS, raw.checked_files(FLIGHTS, raw_folder, window), window)
    with engines.started(FLIGHTS) as build:
        return split(FLIGHTS, program.build_table(FLIGHTS, files, window, window.span, build), window)


def check(splits: Splits, partition: str, previous: Sequence[dict[str, drift.Profile]] = ()) -> list[dict[str, Any]]:
    return checks.check(Parts.of(FLIGHTS, splits), partition, previous)


def profiles(splits: Splits) -> dict[str, drift.Profile]:
    return checks.profiles(Parts.of(FLIGHTS, splits))


def test_good_splits_give_their_numbers(splits: Splits) -> None:
    findings = {(f["check"], f["where"]): f for f in check(splits, "p", [profiles(splits)])}
    assert all(f["ok"] for f in findings.values())
    train = splits["train"]
    assert findings["share of label 1", "train"]["value"] == train[fields.LABEL].mean()
    assert findings["share of missing values", "plane_age"]["value"] == train["plane_age"].null_count() / train.height
    features = {*fields.TAB_FIELD_LIST, *fields.CAT_FIELD_LIST}
    assert {where for check, where in findings if check == "drift (PSI), test against train"} == features
    since = {where for check, where in findings if check == "drift (PSI), newest day against earlier partitions"}
    assert since == features - {"day_of_week"}


FAULTS: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "a null label": (
        lambda t: t.with_columns(pl.when(pl.int_range(pl.len()) > 0).then(fields.LABEL).alias(fields.LABEL)),
        r"rows that violate not_nullable in train.late: 1 \(expected 0; for example .* of 2021-",
    ),
    "a label of 2": (
        lambda t: t.with_columns(late=pl.col("late") * 2),
        r"rows that violate isin.* in train.late: \d+ \(expected 0",
    ),
    "an impossible minute": (
        lambda t: t.with_columns(departure_minute=pl.lit(2000, pl.Int64)),
        r"rows that violate in_range\(0, 1439\) in train.departure_minute: \d+ \(expected 0; for example '2000' of",
    ),
    "a column as text": (
        lambda t: t.with_columns(pl.col("distance").cast(pl.String)),
        r"rows that violate dtype.* in train.distance",
    ),
    "a forbidden column": (
        lambda t: t.with_columns(dep_delay=pl.lit(1)),
        r"columns known only with the outcome in dep_delay",
    ),
    "the outcome as a feature": (
        lambda t: t.with_columns(humid=pl.col("late").cast(pl.Float64)),
        r"AUC of one feature alone in humid: 1 \(expected below 0.95",
    ),
    "mostly missing": (
        lambda t: t.with_columns(visib=pl.lit(None, pl.Float64)),
        r"share of missing values in visib: 1 \(expected at most 0.2",
    ),
    "hardly a late flight": (
        lambda t: t.with_columns(late=(pl.int_range(pl.len()) == 0).cast(pl.Int64)),
        r"share of label 1 in train: 0.0\d+ \(expected 0.02 to 0.8",
    ),
    "twice the same id": (
        lambda t: pl.concat([t, t.head(1)]),
        r"rows that violate field_uniqueness in train.flight_id",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_numbered(splits: Splits, fault: str) -> None:
    spoil, message = FAULTS[fault]
    with pytest.raises(ChecksError, match=message) as caught:
        check({**splits, "train": spoil(splits["train"])}, "2021-03-11")
    failing = [finding for finding in caught.value.checks if not finding["ok"]]
    assert failing
    assert len(caught.value.checks) > len(failing)
    assert str(caught.value).startswith("partition 2021-03-11: ")
    assert "\n" not in str(caught.value)


def test_an_id_in_two_splits_is_found(splits: Splits) -> None:
    leaked = pl.concat([splits["train"], splits["test"].head(2)])
    with pytest.raises(
        ChecksError, match=r"ids in several splits in flight_id: 2 \(expected 0; for example '2021-.*' in test, train"
    ):
        check({**splits, "train": leaked}, "p")


def test_a_carrier_that_vanished_is_drift(splits: Splits) -> None:
    test = splits["test"].with_columns(carrier=pl.lit("ZZ"))
    with pytest.raises(ChecksError, match=r"drift \(PSI\), test against train in carrier: \d+"):
        check({**splits, "test": test}, "p")


def test_a_newest_day_unlike_the_partitions_before_is_drift(splits: Splits) -> None:
    """Seven days of test hide what one day does: the newest is compared with the earlier partitions alone."""
    before = [profiles(splits)] * 3
    test = splits["test"]
    newest = pl.col(fields.DATE) == test[fields.DATE].max()
    odd = test.with_columns(plane_seats=pl.when(newest).then(5000).otherwise("plane_seats"))
    check({**splits, "test": odd}, "p")
    with pytest.raises(ChecksError, match=r"1 data checks failed: drift .* earlier partitions in plane_seats"):
        check({**splits, "test": odd}, "p", before)


def test_one_odd_partition_before_does_not_make_the_next_one_fail(splits: Splits) -> None:
    good = profiles(splits)
    odd = profiles({**splits, "test": splits["test"].with_columns(carrier=pl.lit("ZZ"))})
    check(splits, "p", [odd, good, good])
    with pytest.raises(ChecksError, match="newest day against earlier partitions in carrier"):
        check(splits, "p", [odd, odd, good])


def test_psi_is_zero_for_the_same_values_and_as_by_hand_for_others() -> None:
    same = pl.Series("x", ["a"] * 60 + ["b"] * 40)
    other = pl.Series("x", ["a"] * 30 + ["b"] * 70)
    assert drift.psi(drift.profile(same), same) == 0
    by_hand = (0.6 - 0.3) * 0.6931471805599453 + (0.4 - 0.7) * -0.5596157879354227
    assert drift.psi(drift.profile(same), other) == pytest.approx(by_hand)


numbers = st.lists(st.none() | st.integers(-50, 50) | st.floats(-5, 5), min_size=1, max_size=60)


@given(numbers, numbers)
def test_a_profile_counts_every_row_once_and_survives_json(
    before: list[float | None], after: list[float | None]
) -> None:
    first, second = (pl.Series("x", values, pl.Float64, strict=False) for values in (before, after))
    profile = drift.profile(first)
    assert sum(profile["counts"]) + profile["missing"] == len(before)
    kept = json.loads(json.dumps(profile))
    assert drift.psi(kept, first) == 0
    assert drift.psi(kept, second) == drift.psi(profile, second) >= 0


def test_a_missing_value_is_a_bin_of_its_own() -> None:
    whole, half = pl.Series("x", [1.0, 2.0] * 50), pl.Series("x", [1.0, None] * 50)
    assert drift.psi(drift.profile(whole), half) > FLIGHTS.limits.max_psi


def test_single_auc_equals_the_share_of_pairs_in_order() -> None:
    feature = pl.Series("x", [1.0, 2.0, 2.0, 3.0, None])
    assert checks.single_auc(feature, pl.Series("y", [0, 1, 0, 1, 1])) == (1 + 0.5 + 1 + 1) / 4
    assert checks.single_auc(feature, pl.Series("y", [0, 0, 0, 0, 0])) == 0.5
