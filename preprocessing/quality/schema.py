"""Which rows violate the rules of a table's pandera schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from preprocessing.spec import TableSpec


@dataclass(frozen=True)
class Broken:
    """Rows that violate one rule of a column, and an example."""

    rows: int
    example: str
    whole: bool = False
    """Whether the rule is about the column itself, such as its type, and not about single rows."""

    def __add__(self, later: Broken) -> Broken:
        rows = max(self.rows, later.rows) if self.whole else self.rows + later.rows
        return Broken(rows, self.example, self.whole)


Rules = dict[tuple[str, str], Broken]
"""Violated rules, by column and rule."""


def broken(spec: TableSpec, table: pl.DataFrame) -> Rules:
    """Return the rules that rows of the table violate."""
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
