"""Which rows break what a table's schema (pandera) declares of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from preprocessing.spec import TableSpec


@dataclass(frozen=True)
class Broken:
    """Rows that break one rule of a column, and an example of them."""

    rows: int
    example: str
    whole: bool = False
    """It is the column itself, such as its type, and not one row or another."""

    def __add__(self, later: Broken) -> Broken:
        rows = max(self.rows, later.rows) if self.whole else self.rows + later.rows
        return Broken(rows, self.example, self.whole)


Rules = dict[tuple[str, str], Broken]
"""What is broken, by column and rule."""


def broken(spec: TableSpec, table: pl.DataFrame) -> Rules:
    """Return every rule that rows of the table break."""
    from pandera.errors import SchemaErrors

    try:
        spec.schema().validate(table, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases.group_by("column", "check", maintain_order=True).agg(
            pl.len(), pl.col("failure_case").first(), pl.col("index").first()
        )
        return {(case["column"], case["check"]): _described(case, table, spec.id_name) for case in cases.to_dicts()}
    return {}


def _described(case: Mapping[str, Any], table: pl.DataFrame, id_name: str) -> Broken:
    whole = case["index"] is None
    row = "-" if whole or id_name not in table else table[id_name][case["index"]]
    return Broken(case["len"], f"{case['failure_case']!r} of {row}", whole)
