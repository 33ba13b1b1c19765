"""Open raw files as Narwhals frames of one engine, each column with the type of its kind.

Files of different dates may differ in width (int32 and int64, milliseconds and microseconds): they are widened here.
`raw.checked_files` has rejected any other difference.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import narwhals as nw
import polars as pl

from preprocessing.errors import EngineError
from preprocessing.spec import DAY, INTEGER, NUMBER, TEXT, TIME, RawTable, TableSpec
from preprocessing.window import Span

if TYPE_CHECKING:
    from pyspark.sql import SparkSession  # type: ignore[import-not-found]

    from preprocessing.spec import Frame

POLARS, SPARK = "polars", "spark"
ENGINES = (POLARS, SPARK)

POLARS_TYPES: dict[str, pl.DataType] = {
    INTEGER: pl.Int64(),
    NUMBER: pl.Float64(),
    TEXT: pl.String(),
    DAY: pl.Date(),
    TIME: pl.Datetime("us", "UTC"),
}

NARWHALS_TYPES = {
    INTEGER: nw.Int64(),
    NUMBER: nw.Float64(),
    TEXT: nw.String(),
    DAY: nw.Date(),
    TIME: nw.Datetime("us", "UTC"),
}

Build = Callable[[Mapping[str, Sequence[str]], Span], pl.LazyFrame]
"""Builds a span's rows, in no particular order, from the raw files of each table."""


@contextmanager
def started(spec: TableSpec, engine: str = POLARS) -> Iterator[Build]:
    """Yield a function that builds the table with one engine; all engines give the same rows and types.

    Spark builds all spans in one session, then each finished table is collected into this process, whose memory must
    hold it. Raises EngineError if Spark is not installed.
    """
    if engine == POLARS:
        yield partial(_on_polars, spec)
        return
    with tempfile.TemporaryDirectory(prefix="preprocessing-spark-") as folder:
        session = spark_session(threads=os.cpu_count() or 1, folder=Path(folder))
        try:
            yield partial(_on_spark, spec, session)
        finally:
            session.stop()


def _on_polars(spec: TableSpec, files: Mapping[str, Sequence[str]], span: Span) -> pl.LazyFrame:
    built: pl.LazyFrame = spec.build(polars_tables(spec, files), span).to_native()
    return built


def _on_spark(spec: TableSpec, session: SparkSession, files: Mapping[str, Sequence[str]], span: Span) -> pl.LazyFrame:
    table = spec.build(spark_tables(spec, session, files), span).to_native().toArrow()
    # Some of Spark's types have other widths than Polars'.
    return pl.DataFrame(pl.from_arrow(table)).cast(_on_polars(spec, files, span).collect_schema()).lazy()


def polars_tables(spec: TableSpec, files: Mapping[str, Sequence[str]]) -> dict[str, Frame]:
    """Open the files of each raw table with Polars, lazily."""
    return {table: nw.from_native(_scan(paths, spec.raw[table])) for table, paths in files.items()}


def _scan(paths: Sequence[str], table: RawTable) -> pl.LazyFrame:
    frame = pl.scan_parquet(
        list(paths),
        schema={name: POLARS_TYPES[kind] for name, kind in table.columns.items()},
        extra_columns="ignore",
        cast_options=pl.ScanCastOptions(
            integer_cast=["upcast", "allow-float"],
            float_cast="upcast",
            datetime_cast=["nanosecond-downcast", "millisecond-upcast", "convert-timezone"],
        ),
    )
    return frame.cache() if table.read_repeatedly else frame


def spark_tables(spec: TableSpec, session: SparkSession, files: Mapping[str, Sequence[str]]) -> dict[str, Frame]:
    """Open the files of each raw table with Spark; the session's time zone must be UTC."""
    return {table: _read(session, paths, spec.raw[table].columns) for table, paths in files.items()}


def _read(session: SparkSession, paths: Sequence[str], kinds: Mapping[str, str]) -> Frame:
    frame = nw.from_native(session.read.parquet(*paths)).lazy()
    typed: Frame = frame.select(*[nw.col(name).cast(NARWHALS_TYPES[kind]) for name, kind in kinds.items()])
    return typed


def spark_session(*, threads: int, folder: Path) -> SparkSession:
    """Return a Spark session whose time zone is UTC: the cluster's under spark-submit, otherwise one in this process.

    `threads` and `folder` (where Spark spills to disk) apply to a session in this process only. Raises EngineError if
    pyspark or Java is missing.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise EngineError("the spark engine requires pyspark, which is not installed: pip install pyspark==4.3.0")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise EngineError(
            "the spark engine requires Java 17 or later, but java is not on PATH and JAVA_HOME is not set"
        )
    from pyspark import SparkConf  # type: ignore[import-not-found]
    from pyspark.sql import SparkSession  # type: ignore[import-not-found]

    builder = SparkSession.builder.appName("preprocessing").config("spark.sql.session.timeZone", "UTC")
    if not SparkConf().contains("spark.master"):
        for name, value in _local_settings(threads, folder).items():
            builder = builder.config(name, value)
    return builder.getOrCreate()


def _local_settings(threads: int, folder: Path) -> dict[str, str]:
    return {
        "spark.master": f"local[{threads}]",
        "spark.sql.shuffle.partitions": str(max(4, threads)),
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.maxResultSize": "0",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
