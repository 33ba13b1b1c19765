"""What each column of the training table may hold, declared once (pandera), and which rows break it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from preprocessing import fields


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


def table_schema() -> Any:
    """What each column may hold (pandera): types, ranges, nothing missing in id, date and label, ids once."""
    from pandera.polars import Check, Column, DataFrameSchema

    rates = {name: Column(pl.Float64, Check.in_range(0, 1), nullable=True) for name in fields.LATE_RATE_KEYS}
    weather = {name: Column(pl.Float64, nullable=True) for name in fields.WEATHER}
    texts = {name: Column(pl.String, nullable=name == "plane_model") for name in fields.CAT_FIELD_LIST}
    return DataFrameSchema(
        {
            fields.ID: Column(pl.String, unique=True),
            fields.DATE: Column(pl.Date),
            fields.LABEL: Column(pl.Int64, Check.isin([0, 1])),
            "departure_minute": Column(pl.Int64, Check.in_range(0, 1439)),
            "scheduled_minutes": Column(pl.Int64, Check.in_range(0, 1439)),
            "distance": Column(pl.Int64, Check.gt(0)),
            "plane_age": Column(pl.Int64, Check.in_range(-1, 100), nullable=True),
            "plane_seats": Column(pl.Int64, Check.gt(0), nullable=True),
            **weather,
            **rates,
            **texts,
        },
        strict=True,
        ordered=True,
    )


def broken(table: pl.DataFrame) -> Rules:
    """Return every rule that rows of the table break."""
    from pandera.errors import SchemaErrors

    try:
        table_schema().validate(table, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases.group_by("column", "check", maintain_order=True).agg(
            pl.len(), pl.col("failure_case").first(), pl.col("index").first()
        )
        return {(case["column"], case["check"]): _described(case, table) for case in cases.to_dicts()}
    return {}


def _described(case: Mapping[str, Any], table: pl.DataFrame) -> Broken:
    whole = case["index"] is None
    row = "-" if whole or fields.ID not in table else table[fields.ID][case["index"]]
    return Broken(case["len"], f"{case['failure_case']!r} of {row}", whole)
