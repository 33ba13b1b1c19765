"""The checks before money is spent: each one fails on the fault it is for, with its numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from preprocessing import checks, fields, program, raw
from preprocessing.errors import TableError
from preprocessing.window import Window

Splits = dict[str, pl.DataFrame]


@pytest.fixture
def splits(raw_folder: Path, window: Window) -> Splits:
    return program.split(program.build_table(raw.checked_files(raw_folder, window), window), window)


def test_good_splits_give_their_numbers(splits: Splits) -> None:
    findings = {(f["check"], f["where"]): f for f in checks.check(splits, "p")}
    assert all(f["ok"] for f in findings.values())
    train = splits["train"]
    assert findings["share of label 1", "train"]["value"] == train[fields.LABEL].mean()
    assert findings["share of missing values", "plane_age"]["value"] == train["plane_age"].null_count() / train.height
    assert {where for check, where in findings if check == "drift (PSI)"} == {
        *fields.TAB_FIELD_LIST, *fields.CAT_FIELD_LIST,
    }  # fmt: skip


FAULTS: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "a null label": (
        lambda t: t.with_columns(pl.when(pl.int_range(pl.len()) > 0).then(fields.LABEL).alias(fields.LABEL)),
        r"column 'late' breaks not_nullable in 1 rows, such as .* of 2021-",
    ),
    "a label of 2": (lambda t: t.with_columns(late=pl.col("late") * 2), r"column 'late' breaks isin"),
    "an impossible minute": (
        lambda t: t.with_columns(departure_minute=pl.lit(2000, pl.Int64)),
        r"column 'departure_minute' breaks in_range\(0, 1439\) in \d+ rows, such as '2000' of 2021-",
    ),
    "a column as text": (
        lambda t: t.with_columns(pl.col("distance").cast(pl.String)),
        r"column 'distance' breaks dtype",
    ),
    "a forbidden column": (lambda t: t.with_columns(dep_delay=pl.lit(1)), r"columns known only after .* of dep_delay"),
    "the outcome as a feature": (
        lambda t: t.with_columns(humid=pl.col("late").cast(pl.Float64)),
        r"AUC of one feature alone of humid is 1, expected below 0.95",
    ),
    "mostly missing": (
        lambda t: t.with_columns(visib=pl.lit(None, pl.Float64)),
        r"share of missing values of visib is 1, expected at most 0.2",
    ),
    "hardly a late flight": (
        lambda t: t.with_columns(late=(pl.int_range(pl.len()) == 0).cast(pl.Int64)),
        r"share of label 1 of train is 0.0\d+, expected 0.02 to 0.8",
    ),
    "twice the same id": (lambda t: pl.concat([t, t.head(1)]), r"column 'flight_id' breaks field_uniqueness"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_numbered(splits: Splits, fault: str) -> None:
    spoil, message = FAULTS[fault]
    with pytest.raises(TableError, match=message) as caught:
        checks.check({**splits, "train": spoil(splits["train"])}, "2021-03-11")
    assert str(caught.value).startswith("partition 2021-03-11: ")
    assert "\n" not in str(caught.value)


def test_an_id_in_two_splits_is_found(splits: Splits) -> None:
    leaked = pl.concat([splits["train"], splits["test"].head(2)])
    with pytest.raises(TableError, match=r"2 ids are in several splits, such as '2021-.*' in test, train"):
        checks.check({**splits, "train": leaked}, "p")


def test_a_carrier_that_vanished_is_drift(splits: Splits) -> None:
    test = splits["test"].with_columns(carrier=pl.lit("ZZ"))
    with pytest.raises(TableError, match=r"drift \(PSI\) of carrier is \d+"):
        checks.check({**splits, "test": test}, "p")


def test_psi_is_zero_for_the_same_values_and_as_by_hand_for_others() -> None:
    same = pl.Series("x", ["a"] * 60 + ["b"] * 40)
    other = pl.Series("x", ["a"] * 30 + ["b"] * 70)
    assert checks.psi(same, same) == 0
    by_hand = (0.6 - 0.3) * 0.6931471805599453 + (0.4 - 0.7) * -0.5596157879354227
    assert checks.psi(same, other) == pytest.approx(by_hand)


def test_single_auc_equals_the_share_of_pairs_in_order() -> None:
    feature = pl.Series("x", [1.0, 2.0, 2.0, 3.0, None])
    assert checks.single_auc(feature, pl.Series("y", [0, 1, 0, 1, 1])) == (1 + 0.5 + 1 + 1) / 4
    assert checks.single_auc(feature, pl.Series("y", [0, 0, 0, 0, 0])) == 0.5
