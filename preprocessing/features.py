"""Build the training table: what is known about a flight two hours before its scheduled departure, and its label.

Replace this module (and `fields`) to train on another table. The frames are Narwhals LazyFrames, so the same code runs
on Polars and on Spark. What is decided here:

- A flight without arr_delay was cancelled or diverted: it has no label and is left out, of the late rates too.
- Weather is the origin's record of the hour that begins two hours before the hour of departure, found by UTC: the hour
  that a clock shows twice in autumn stays two hours. Several records of one hour: the least value of each column.
- A late rate counts the flights of the 28 days up to yesterday, whatever their hour, and today's never. It is smoothed
  towards the rate of all flights in the same 28 days, which weighs as much as SMOOTHING flights of the group. The
  cut-off is by date of departure: a flight of yesterday evening that lands after the two hours' cut-off of an early
  flight of today is counted all the same (the raw schema has no time of landing). Estimated for the flights of 2013
  from departure, delay, air time and 45 minutes of taxiing: 11.6 % of the rows have such a flight in the overall rate,
  0.4 of some 25,000 on average; 4.8 % in the rate of the origin, 1.7 % of carrier and origin, 0.7 % of the destination.
- No calendar month: the months of the test are never seen in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw

from preprocessing import fields
from preprocessing.window import RATE_DAYS, Window

SMOOTHING = 20
"""Flights that the overall rate counts for in each group's late rate."""
HOURS_BEFORE = 2
"""Cut-off: hours before scheduled departure at which the weather is read."""

Frame = nw.LazyFrame[Any]


@dataclass(frozen=True)
class RawTables:
    """The raw rows of one window; see `raw.SCHEMAS` for their columns."""

    flights: Frame
    weather: Frame
    planes: Frame


def build(raw: RawTables, window: Window) -> Frame:
    """Return the table of the window: one row per flight that arrived, columns `fields.FULL_FIELD_LIST`."""
    arrived = with_label(raw.flights)
    rows = arrived.filter(nw.col("flight_date") >= nw.lit(window.first))
    rows = add_schedule(rows)
    rows = add_weather(rows, raw.weather)
    rows = add_plane(rows, raw.planes)
    for feature, keys in fields.LATE_RATE_KEYS.items():
        rows = add_late_rate(rows, arrived, feature, keys)
    return rows.select(*fields.FULL_FIELD_LIST)


def with_label(flights: Frame) -> Frame:
    """Add the label; leave out flights that never arrived where they were meant to."""
    late = (nw.col("arr_delay") >= fields.LATE_MINUTES).cast(nw.Int64)
    return flights.filter(~nw.col("arr_delay").is_null()).with_columns(late.alias(fields.LABEL))


def add_schedule(rows: Frame) -> Frame:
    """Add the id and what the timetable says. Minutes are of the airports' own clocks."""
    departure = nw.col("hour") * 60 + nw.col("minute")
    arrival = (nw.col("sched_arr_time") // 100) * 60 + nw.col("sched_arr_time") % 100
    text = nw.concat_str(
        nw.col("flight_date").cast(nw.String),
        nw.col("origin"),
        nw.col("carrier"),
        nw.col("flight").cast(nw.String),
        separator="-",
    )
    return rows.with_columns(
        text.alias(fields.ID),
        departure.alias("departure_minute"),
        # A day is added before the remainder, so that an arrival after midnight does not turn negative.
        ((arrival - departure + 1440) % 1440).alias("scheduled_minutes"),
        # Sunday is 7 on Polars and 0 on Spark (Narwhals 2.29): the remainder makes it 0 on both.
        (nw.col("flight_date").dt.weekday() % 7).cast(nw.String).alias("day_of_week"),
    )


def add_weather(rows: Frame, weather: Frame) -> Frame:
    """Add the weather at the origin, two hours before the hour of departure."""
    seen = weather.select("origin", "time_hour", *fields.WEATHER)
    seen = seen.group_by("origin", "time_hour").agg(*[nw.col(name).min() for name in fields.WEATHER])
    seen = seen.with_columns(nw.col("time_hour").dt.offset_by(f"{HOURS_BEFORE}h"))
    return rows.join(seen, on=["origin", "time_hour"], how="left")


def add_plane(rows: Frame, planes: Frame) -> Frame:
    """Add age in years, seats and model of the plane as registered on the flight's date."""
    known = planes.select(
        "tailnum",
        "flight_date",
        nw.col("year").alias("plane_year"),
        nw.col("seats").alias("plane_seats"),
        nw.col("model").alias("plane_model"),
    )
    joined = rows.join(known, on=["tailnum", "flight_date"], how="left")
    age = nw.col("flight_date").dt.year().cast(nw.Int64) - nw.col("plane_year")
    return joined.with_columns(age.alias("plane_age"))


def add_late_rate(rows: Frame, arrived: Frame, feature: str, keys: Sequence[str]) -> Frame:
    """Add the smoothed late rate of the group `keys` over the 28 days up to the day before the flight."""
    overall = _last_days(arrived, [], "all")
    group = _last_days(arrived, keys, "group")
    joined = rows.join(group, on=[*keys, "flight_date"], how="left").join(overall, on="flight_date", how="left")
    prior = nw.when(nw.col("all_flights") > 0).then(nw.col("all_late") / nw.col("all_flights"))
    rate = (nw.col("group_late") + SMOOTHING * prior) / (nw.col("group_flights") + SMOOTHING)
    return joined.with_columns(rate.alias(feature)).drop("all_flights", "all_late", "group_flights", "group_late")


def _last_days(arrived: Frame, keys: Sequence[str], prefix: str) -> Frame:
    """Return, for each group and date with flights, flights and late ones of the RATE_DAYS days before that date.

    A day's counts enter the sum on the next day and leave it RATE_DAYS days later; a running total over these changes
    is the window's sum. Unlike a rolling window this needs neither a dense calendar nor a range join, on any engine.
    """
    flights, late = f"{prefix}_flights", f"{prefix}_late"
    by = [*keys, "flight_date"]
    day = arrived.group_by(*by).agg(nw.len().cast(nw.Int64).alias(flights), nw.col(fields.LABEL).sum().alias(late))
    changes = nw.concat(
        [
            _change(day, 1, 1, flights, late),
            _change(day, 1 + RATE_DAYS, -1, flights, late),
            _change(day, 0, 0, flights, late),
        ]
    )
    net = changes.group_by(*by).agg(nw.col(flights).sum(), nw.col(late).sum())
    totals = [nw.col(name).cum_sum().over(*keys, order_by="flight_date").alias(name) for name in (flights, late)]
    return net.with_columns(*totals)


def _change(day: Frame, days_later: int, sign: int, *counts: str) -> Frame:
    moved = nw.col("flight_date").dt.offset_by(f"{days_later}d")
    return day.with_columns(moved.alias("flight_date"), *[(nw.col(name) * sign).alias(name) for name in counts])
