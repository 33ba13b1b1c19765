"""The same table in Polars written by hand, without Narwhals: what the program is compared with."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from preprocessing import fields


def build(files: dict[str, list[str]], first: date) -> pl.DataFrame:
    flights = pl.scan_parquet(files["flights"]).filter(pl.col("arr_delay").is_not_null())
    flights = flights.with_columns(late=(pl.col("arr_delay") >= 15).cast(pl.Int64))
    departure = pl.col("hour") * 60 + pl.col("minute")
    arrival = pl.col("sched_arr_time") // 100 * 60 + pl.col("sched_arr_time") % 100
    rows = flights.filter(pl.col("flight_date") >= first).with_columns(
        flight_id=pl.concat_str("flight_date", "origin", "carrier", "flight", separator="-"),
        departure_minute=departure,
        scheduled_minutes=(arrival - departure + 1440) % 1440,
        day_of_week=(pl.col("flight_date").dt.weekday() % 7).cast(pl.String),
    )
    weather = pl.scan_parquet(files["weather"]).select("origin", "time_hour", *fields.WEATHER)
    weather = weather.group_by("origin", "time_hour").min().with_columns(pl.col("time_hour") + timedelta(hours=2))
    planes = pl.scan_parquet(files["planes"]).select(
        "tailnum", "flight_date", plane_year="year", plane_seats="seats", plane_model="model"
    )
    rows = rows.join(weather, on=["origin", "time_hour"], how="left")
    rows = rows.join(planes, on=["tailnum", "flight_date"], how="left")
    rows = rows.with_columns(plane_age=pl.col("flight_date").dt.year().cast(pl.Int64) - pl.col("plane_year"))
    overall = _rolling(flights, [], "all")
    for name, keys in fields.LATE_RATE_KEYS.items():
        rows = rows.join(_rolling(flights, list(keys), "group"), on=[*keys, "flight_date"], how="left")
        rows = rows.join(overall, on="flight_date", how="left")
        prior = pl.when(pl.col("all_n") > 0).then(pl.col("all_late") / pl.col("all_n"))
        rate = (pl.col("group_late") + 20 * prior) / (pl.col("group_n") + 20)
        rows = rows.with_columns(rate.alias(name)).drop("all_n", "all_late", "group_n", "group_late")
    return rows.select(fields.FULL_FIELD_LIST).sort("flight_date", "departure_minute", "flight_id").collect()


def _rolling(flights: pl.LazyFrame, keys: list[str], prefix: str) -> pl.LazyFrame:
    by_day = flights.group_by(*keys, "flight_date").agg(n=pl.len().cast(pl.Int64), late=pl.col("late").sum())
    sums = [
        pl.col(name).rolling_sum_by("flight_date", "28d", closed="left").fill_null(0).alias(f"{prefix}_{name}")
        for name in ("n", "late")
    ]
    if keys:
        sums = [each.over(keys) for each in sums]
    return by_day.sort("flight_date").with_columns(sums).drop("n", "late")
