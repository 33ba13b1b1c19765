"""The same table in hand-written Polars, without Narwhals, as a comparison."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from preprocessing.flights import fields
from preprocessing.flights.table import FLIGHT_COLUMNS


def build(files: dict[str, list[str]], first: date) -> pl.DataFrame:
    # Read once: it is used seven times below.
    flights = pl.read_parquet(files["flights"], columns=[*FLIGHT_COLUMNS]).lazy()
    flights = flights.filter(pl.col("arr_delay").is_not_null())
    flights = flights.with_columns(late=(pl.col("arr_delay") >= 15).cast(pl.Int64))
    departure = pl.col("hour") * 60 + pl.col("minute")
    arrival = pl.col("sched_arr_time") // 100 * 60 + pl.col("sched_arr_time") % 100
    rows = flights.filter(pl.col("flight_date") >= first).with_columns(
        flight_id=pl.concat_str("flight_date", "origin", "carrier", "flight", separator="-"),
        departure_minute=departure,
        scheduled_minutes=(arrival - departure + 1440) % 1440,
        day_of_week=(pl.col("flight_date").dt.weekday() % 7).cast(pl.String),
    )
    rows = rows.with_columns(cut_off=pl.col("time_hour") - timedelta(hours=2))
    asked = rows
    weather = pl.scan_parquet(files["weather"]).select("origin", pl.col("time_hour").alias("cut_off"), *fields.WEATHER)
    weather = weather.group_by("origin", "cut_off").min()
    planes = pl.scan_parquet(files["planes"]).select(
        "tailnum", "flight_date", plane_year="year", plane_seats="seats", plane_model="model"
    )
    rows = rows.join(weather, on=["origin", "cut_off"], how="left")
    rows = rows.join(planes, on=["tailnum", "flight_date"], how="left")
    rows = rows.with_columns(plane_age=pl.col("flight_date").dt.year().cast(pl.Int64) - pl.col("plane_year"))
    known = flights.filter(pl.col("arrived_at").is_not_null()).select(
        *dict.fromkeys(key for keys in fields.LATE_RATE_KEYS.values() for key in keys),
        "late",
        cut_off=pl.col("arrived_at").dt.truncate("1h") + timedelta(hours=1),
    )
    rows = _counted(rows, asked, known, [], "all")
    prior = pl.when(pl.col("all_n") > 0).then(pl.col("all_late") / pl.col("all_n"))
    for name, keys in fields.LATE_RATE_KEYS.items():
        rows = _counted(rows, asked, known, list(keys), "group")
        rate = (pl.col("group_late") + 20 * prior) / (pl.col("group_n") + 20)
        rows = rows.with_columns(rate.alias(name)).drop("group_n", "group_late")
    return rows.select(fields.FULL_FIELD_LIST).sort("flight_date", "departure_minute", "flight_id").collect()


def _counted(
    rows: pl.LazyFrame, asked: pl.LazyFrame, known: pl.LazyFrame, keys: list[str], prefix: str
) -> pl.LazyFrame:
    """Add the group's flights, and the late ones, in the 28 days before the cut-off: a running total over changes."""
    by = [*keys, "cut_off"]
    n, late = f"{prefix}_n", f"{prefix}_late"
    enter = known.group_by(by).agg(pl.len().cast(pl.Int64).alias(n), pl.col("late").sum().alias(late))
    leave = enter.with_columns(pl.col("cut_off") + timedelta(days=28), -pl.col(n), -pl.col(late))
    nothing = asked.select(*by, pl.lit(0, pl.Int64).alias(n), pl.lit(0, pl.Int64).alias(late))
    net = pl.concat([enter, leave, nothing]).group_by(by).agg(pl.col(n).sum(), pl.col(late).sum()).sort("cut_off")
    sums = [pl.col(name).cum_sum() for name in (n, late)]
    return rows.join(net.with_columns([each.over(keys) for each in sums] if keys else sums), on=by, how="left")
