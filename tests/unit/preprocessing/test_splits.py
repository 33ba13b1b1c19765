"""Both ways to split: disjoint, complete, in order of time, and by hash for ever."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing import splits
from preprocessing.flights import fields
from preprocessing.flights.table import FLIGHTS
from preprocessing.window import Window

ROOT = Path(__file__).resolve().parents[3]
WINDOW = Window(date(2021, 3, 11), days=36, val_days=5, test_days=4)
rows = st.lists(st.tuples(st.text(max_size=8), st.integers(0, 35)), unique_by=lambda row: row[0], max_size=80)


def table_of(found: list[tuple[str, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        {fields.ID: [name for name, _ in found], fields.DATE: [WINDOW.first + timedelta(days=day) for _, day in found]},
        schema={fields.ID: pl.String, fields.DATE: pl.Date},
    )


@given(rows, st.sampled_from(sorted(splits.WAYS)))
def test_every_row_is_in_exactly_one_split(found: list[tuple[str, int]], by: str) -> None:
    table = table_of(found)
    parts = splits.WAYS[by](FLIGHTS, table, WINDOW)
    assert list(parts) == ["train", "val", "test"]
    assert sorted(row_id for part in parts.values() for row_id in part[fields.ID]) == sorted(table[fields.ID])


@given(rows)
def test_by_time_no_row_of_a_split_is_later_than_the_next(found: list[tuple[str, int]]) -> None:
    parts = splits.by_time(FLIGHTS, table_of(found), WINDOW)
    ends = [day for part in parts.values() for day in (part[fields.DATE].min(), part[fields.DATE].max()) if day]
    assert ends == sorted(ends)


@given(rows, rows, st.randoms(use_true_random=False))
def test_by_hash_added_rows_and_their_order_move_no_row(
    found: list[tuple[str, int]], more: list[tuple[str, int]], random: object
) -> None:
    known = {name for name, _ in found}
    every = [*found, *(row for row in more if row[0] not in known)]
    random.shuffle(every)  # type: ignore[attr-defined]
    before, after = splits.by_hash(FLIGHTS, table_of(found), WINDOW), splits.by_hash(FLIGHTS, table_of(every), WINDOW)
    for name, part in before.items():
        assert set(part[fields.ID]) == set(after[name][fields.ID]) & known


def test_by_hash_the_shares_are_those_of_the_window() -> None:
    parts = splits.by_hash(FLIGHTS, table_of([(f"row-{i}", i % 36) for i in range(20_000)]), WINDOW)
    assert parts["test"].height / 20_000 == pytest.approx(4 / 36, rel=0.1)
    assert parts["val"].height / 20_000 == pytest.approx(5 / 36, rel=0.1)


def test_by_hash_another_process_says_the_same() -> None:
    ids = [f"row-{i}" for i in range(50)]
    here = splits.by_hash(FLIGHTS, table_of([(name, 0) for name in ids]), WINDOW)["val"][fields.ID].to_list()
    program = (
        "import sys; from preprocessing.splits import _place; "
        "print(*[i for i in sys.argv[1:] if 4 / 36 <= _place(i) < 4 / 36 + 5 / 36])"
    )
    command = [sys.executable, "-c", program, *ids]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == here
