"""What each column of the flights' table may contain, as a pandera schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from preprocessing.flights import fields

if TYPE_CHECKING:
    import pandera.polars


def table_schema() -> pandera.polars.DataFrameSchema:
    """Return the schema: types and ranges; id, date and label are never missing; ids are unique."""
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
