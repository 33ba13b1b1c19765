"""Open raw files as Narwhals frames of one engine, every column in the one type that `raw.SCHEMAS` stands for.

Files of different dates may differ in width (int32 and int64, milliseconds and microseconds): they are widened here.
Anything else that differs has been refused by `raw.checked_files` before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import narwhals as nw
import polars as pl

from preprocessing import raw
from preprocessing.features import RawTables

POLARS_TYPES: dict[str, pl.DataType] = {
    raw.INTEGER: pl.Int64(),
    raw.NUMBER: pl.Float64(),
    raw.TEXT: pl.String(),
    raw.DAY: pl.Date(),
    raw.TIME: pl.Datetime("us", "UTC"),
}


def polars_tables(files: Mapping[str, Sequence[str]]) -> RawTables:
    """Open the files of each table with Polars, lazily."""
    return RawTables(**{table: nw.from_native(_scan(paths, raw.SCHEMAS[table])) for table, paths in files.items()})


def _scan(paths: Sequence[str], kinds: Mapping[str, str]) -> pl.LazyFrame:
    return pl.scan_parquet(
        list(paths),
        schema={name: POLARS_TYPES[kind] for name, kind in kinds.items()},
        extra_columns="ignore",
        cast_options=pl.ScanCastOptions(
            integer_cast=["upcast", "allow-float"],
            float_cast="upcast",
            datetime_cast=["nanosecond-downcast", "millisecond-upcast", "convert-timezone"],
        ),
    )
