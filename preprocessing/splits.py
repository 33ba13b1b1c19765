"""Split a table into train, val and test: by time, or by hash of the id.

By time (the default), the model is judged on the newest days, as in production. By hash, an id always belongs to the
same split, whatever other rows there are: for tables whose rows have no order in time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import polars as pl

from preprocessing.errors import TableError
from preprocessing.quality.parts import Parts
from preprocessing.spec import TableSpec
from preprocessing.window import Window

Splits = dict[str, pl.DataFrame]


def by_time(spec: TableSpec, table: pl.DataFrame, window: Window) -> Splits:
    """Return the rows of each split's dates (see `window.Window.splits`)."""
    days = window.splits().items()
    return {name: table.filter(pl.col(spec.date_name).is_between(first, last)) for name, (first, last) in days}


def by_hash(spec: TableSpec, table: pl.DataFrame, window: Window) -> Splits:
    """Return the rows of each split by the hash of their id; the shares of rows are the window's shares of days.

    A window that is cut off at the beginning of the data keeps the shares of a full one, so that no id moves.
    """
    test, val = window.test_days / window.days, window.val_days / window.days
    place = pl.Series([_place(str(row_id)) for row_id in table[spec.id_name]], dtype=pl.Float64)
    masks = {"train": place >= test + val, "val": (place >= test) & (place < test + val), "test": place < test}
    return {name: table.filter(mask) for name, mask in masks.items()}


def _place(row_id: str) -> float:
    """Return a number from 0 to 1 that depends only on the id, not on process, machine or version."""
    return int.from_bytes(hashlib.blake2b(row_id.encode(), digest_size=6).digest(), "big") / 2**48


WAYS: dict[str, Callable[[TableSpec, pl.DataFrame, Window], Splits]] = {"time": by_time, "hash": by_hash}
"""Ways to split a table, by the value of `--split-by`."""


def split(spec: TableSpec, table: pl.DataFrame, window: Window, by: str = "time") -> Splits:
    """Return the rows of train, val and test; `by` is one of WAYS, and `table` may be a part of the window's rows."""
    return WAYS[by](spec, table, window)


def require_both_classes(parts: Parts, window: Window, by: str = "time") -> None:
    """Raise TableError for a split without rows or with one class only."""
    for name, part in parts.items():
        dates = " ({} to {})".format(*window.splits()[name]) if by == "time" else ""
        where = f"partition {window.partition}: {name}{dates}"
        if part.rows == 0:
            raise TableError(f"{where} has no rows; expected at least one of each label")
        classes = sorted(part.labels, key=lambda label: (label is not None, label))
        if classes != [0, 1]:
            raise TableError(
                f"{where} contains only label {parts.spec.label_name} = {classes} in {part.rows} rows; expected 0 and 1"
            )
