"""A small made-up airline: every column of the raw tables, a hundred days, a few flights a day."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import narwhals as nw
import polars as pl
import pytest

from preprocessing import raw
from preprocessing.flights import features
from preprocessing.flights.table import WEATHER_COLUMNS
from preprocessing.window import Span, Window

Tables = dict[str, pl.DataFrame]
FIRST = date(2021, 1, 1)
DAYS = 70
ZONE_HOURS = 5


@pytest.fixture(scope="session")
def window() -> Window:
    return Window(FIRST + timedelta(days=DAYS - 1), days=36, val_days=5, test_days=4)


@pytest.fixture(scope="session")
def tables() -> Tables:
    rng = random.Random(7)
    days = [FIRST + timedelta(days=i) for i in range(DAYS)]
    flights = [flight(rng, day, number) for day in days for number in range(12)]
    weather = [hour(rng, day, h, origin) for day in days for h in range(24) for origin in ("EWR", "JFK")]
    planes = [
        {"flight_date": day, "tailnum": f"N{i}", "year": 1990 + i, "seats": 50 + 10 * i, "model": f"M{i % 3}"}
        for day in days
        for i in range(6)  # N6 and N7 are not registered
    ]
    made = {"flights": pl.DataFrame(flights), "weather": pl.DataFrame(weather), "planes": pl.DataFrame(planes)}
    return {
        name: table.with_columns(pl.col(pl.Datetime).cast(pl.Datetime("us", "UTC"))) for name, table in made.items()
    }


def flight(rng: random.Random, day: date, number: int) -> dict[str, object]:
    hour, minute = rng.randrange(24), rng.randrange(60)
    delay = None if rng.random() < 0.05 else rng.choice([-20, -5, 0, 14, 15, 40, 200])
    time = datetime(day.year, day.month, day.day, hour, tzinfo=UTC) + timedelta(hours=ZONE_HOURS)
    under_way = timedelta(minutes=minute + rng.randrange(40, 700))
    return {
        "flight_date": day,
        "time_hour": time,
        "hour": hour,
        "minute": minute,
        "sched_arr_time": rng.randrange(24) * 100 + rng.randrange(60),
        "dep_time": 1200,
        "dep_delay": rng.randrange(60),
        "arr_time": 1300,
        "air_time": 60,
        "arr_delay": delay,
        "arrived_at": None if delay is None else time + under_way,
        "carrier": rng.choice(["AA", "BB"]),
        "flight": number,
        "tailnum": f"N{rng.randrange(8)}",
        "origin": rng.choice(["EWR", "JFK"]),
        "dest": rng.choice(["BOS", "ORD", "MIA"]),
        "distance": rng.randrange(100, 3000),
    }


def hour(rng: random.Random, day: date, at: int, origin: str) -> dict[str, object]:
    time = datetime(day.year, day.month, day.day, at, tzinfo=UTC) + timedelta(hours=ZONE_HOURS)
    names = [name for name in WEATHER_COLUMNS if name not in ("origin", "time_hour")]
    return {"origin": origin, "time_hour": time, **{name: rng.uniform(0, 100) for name in names}}


@pytest.fixture(scope="session")
def build() -> Callable[[Tables, Window | Span], pl.DataFrame]:
    """The feature table of raw tables, sorted by id."""

    def built(given: Tables, of: Window | Span) -> pl.DataFrame:
        span = of.span if isinstance(of, Window) else of
        frames = {name: nw.from_native(table.lazy()) for name, table in given.items()}
        return features.build(frames, span).collect().to_native().sort("flight_id")

    return built


@pytest.fixture
def raw_folder(tmp_path: Path, tables: Tables) -> Path:
    """The tables as raw date partitions."""
    folder = tmp_path / "raw"
    for name, table in tables.items():
        local = table if name != "weather" else table.with_columns(flight_date=_local_day())
        for (day,), rows in local.partition_by("flight_date", as_dict=True).items():
            file = folder / raw.raw_key(name, day)
            file.parent.mkdir(parents=True, exist_ok=True)
            rows.write_parquet(file)
    return folder


def _local_day() -> pl.Expr:
    return (pl.col("time_hour") - timedelta(hours=ZONE_HOURS)).dt.date()
