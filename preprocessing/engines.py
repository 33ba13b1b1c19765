"""Open raw files as Narwhals frames of one engine, every column in the one type that `raw.SCHEMAS` stands for.

Files of different dates may differ in width (int32 and int64, milliseconds and microseconds): they are widened here.
Anything else that differs has been refused by `raw.checked_files` before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from preprocessing import raw
from preprocessing.features import Frame, RawTables

POLARS_TYPES: dict[str, pl.DataType] = {
    raw.INTEGER: pl.Int64(),
    raw.NUMBER: pl.Float64(),
    raw.TEXT: pl.String(),
    raw.DAY: pl.Date(),
    raw.TIME: pl.Datetime("us", "UTC"),
}

NARWHALS_TYPES = {
    raw.INTEGER: nw.Int64(),
    raw.NUMBER: nw.Float64(),
    raw.TEXT: nw.String(),
    raw.DAY: nw.Date(),
    raw.TIME: nw.Datetime("us", "UTC"),
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


def spark_tables(session: Any, files: Mapping[str, Sequence[str]]) -> RawTables:
    """Open the files of each table with a Spark session whose time zone is UTC."""
    return RawTables(**{table: _read(session, paths, raw.SCHEMAS[table]) for table, paths in files.items()})


def _read(session: Any, paths: Sequence[str], kinds: Mapping[str, str]) -> Frame:
    frame = nw.from_native(session.read.parquet(*paths)).lazy()
    typed: Frame = frame.select(*[nw.col(name).cast(NARWHALS_TYPES[kind]) for name, kind in kinds.items()])
    return typed


def local_spark(*, threads: int, folder: Path) -> Any:
    """Return a Spark session in this process: for tests and tables of one machine. Needs pyspark and Java 17."""
    from pyspark.sql import SparkSession  # type: ignore[import-not-found]

    settings = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(max(4, threads)),
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    builder = SparkSession.builder.master(f"local[{threads}]").appName("preprocessing")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()
