"""What the checks need to know about splits that may not fit into memory: exact counts, and an even sample of rows.

Rows are counted while they are written, and then read again from the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from preprocessing.quality import schema
from preprocessing.spec import TableSpec

SAMPLE_ROWS = 1_000_000
"""Largest sample of a split's rows."""
IDS_AT_ONCE = 25_000_000
"""Ids whose 8-byte hashes are in memory at once; more need several passes over the files."""
NAMED = 1_000_000
"""Largest number of duplicate ids that are examined."""


@dataclass
class Part:
    """One split."""

    spec: TableSpec
    lazy: pl.LazyFrame
    rows: int = 0
    labels: Counter[Any] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    dates: tuple[Any, ...] = ()
    """First and last date."""
    broken: schema.Rules = field(default_factory=dict)

    def add(self, table: pl.DataFrame) -> None:
        """Count more rows."""
        if table.height == 0:
            return
        self.rows += table.height
        self.labels.update(dict(table[self.spec.label_name].value_counts(name="n").iter_rows()))
        self.missing.update(table.null_count().row(0, named=True))
        days = table[self.spec.date_name]
        ends: list[Any] = [*self.dates, days.min(), days.max()]
        self.dates = (min(ends), max(ends))
        for rule, found in schema.broken(self.spec, table).items():
            self.broken[rule] = self.broken[rule] + found if rule in self.broken else found

    @property
    def label_share(self) -> float:
        """Share of label 1 among the rows that have a label."""
        known = {label: rows for label, rows in self.labels.items() if label is not None}
        positive: int = sum(label * rows for label, rows in known.items())
        return positive / sum(known.values())

    @cached_property
    def sample(self) -> pl.DataFrame:
        """All rows, or SAMPLE_ROWS of them, evenly spread."""
        if self.rows <= SAMPLE_ROWS:
            return self.lazy.collect()
        at = pl.col("row").cast(pl.Int64)
        chosen = (at + 1) * SAMPLE_ROWS // self.rows != at * SAMPLE_ROWS // self.rows
        return self.lazy.with_row_index("row").filter(chosen).drop("row").collect(engine="streaming")


class Parts(dict[str, Part]):
    """The splits of a partition by name."""

    def __init__(self, spec: TableSpec, frames: Mapping[str, pl.LazyFrame]) -> None:
        super().__init__({name: Part(spec, frame) for name, frame in frames.items()})
        self.spec = spec

    @classmethod
    def of(cls, spec: TableSpec, tables: Mapping[str, pl.DataFrame]) -> Parts:
        """Return the parts of tables that are in memory."""
        parts = cls(spec, {name: table.lazy() for name, table in tables.items()})
        for name, table in tables.items():
            parts[name].add(table)
        return parts

    @cached_property
    def repeated(self) -> pl.DataFrame:
        """The rows whose id occurs in several rows, with their split, in the table's order (at most NAMED ids).

        Ids with the same hash are compared themselves. Memory is bounded by IDS_AT_ONCE and NAMED.
        """
        row_id = pl.col(self.spec.id_name)
        hashed = row_id.hash()
        every = pl.concat([part.lazy.select(hashed.alias("hash")) for part in self.values()])
        passes = -(-sum(part.rows for part in self.values()) // IDS_AT_ONCE)
        suspects = pl.Series("hash", [], pl.UInt64)
        for turn in range(passes):
            of_turn = every.filter(pl.col("hash") % passes == turn).collect(engine="streaming")["hash"].sort()
            suspects = suspects.append(of_turn.filter(of_turn == of_turn.shift()).unique()).head(NAMED)
        rows = pl.concat(part.lazy.select(*self.spec.order, split=pl.lit(name)) for name, part in self.items())
        rows = rows.head(0) if suspects.is_empty() else rows.filter(hashed.is_in(suspects.implode()))
        return rows.collect(engine="streaming").filter(row_id.is_duplicated()).sort(self.spec.order)
