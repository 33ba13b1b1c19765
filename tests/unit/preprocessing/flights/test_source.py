from __future__ import annotations

import io
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.errors import WindowError
from preprocessing.flights import source
from preprocessing.flights.dates import FIRST, HISTORY_DAYS, MAX_DAYS


@given(st.dates(FIRST, date(2200, 1, 1)))
def test_every_date_from_2013_on_stands_for_one_of_2013_with_its_weekday(day: date) -> None:
    found = source.source_date(day)
    assert found.year == 2013
    assert found.weekday() == day.weekday()
    assert (day - found) % source.YEAR == timedelta(0)
    if day.year == 2013:
        assert found == day


@given(st.dates(date(2014, 12, 31), date(2200, 1, 1)))
def test_the_longest_window_never_holds_the_same_flights_twice(last: date) -> None:
    days = [last - timedelta(days=i) for i in range(MAX_DAYS + HISTORY_DAYS)]
    assert len({source.source_date(day) for day in days}) == len(days)


def test_before_2013_there_is_nothing() -> None:
    with pytest.raises(WindowError, match="no flights on 2012-12-31; the data begins on 2013-01-01"):
        source.source_date(date(2012, 12, 31))


def rows_of(day: date) -> dict[str, pl.DataFrame]:
    files = source.extract({table: [day] for table in ("flights", "weather", "planes")})
    return {key.split("/")[0]: pl.read_parquet(io.BytesIO(content)) for key, content in files}


def test_a_later_year_holds_the_same_flights_moved_by_whole_weeks() -> None:
    then, now = rows_of(date(2013, 11, 28)), rows_of(date(2026, 11, 12))
    shift = timedelta(days=13 * 364)
    assert now["flights"]["flight_date"].unique().to_list() == [date(2026, 11, 12)]
    assert now["flights"].height == then["flights"].height == 634
    assert (now["flights"]["time_hour"] - shift).equals(then["flights"]["time_hour"])
    assert (now["weather"]["time_hour"] - shift).equals(then["weather"]["time_hour"])
    assert now["flights"]["arr_delay"].equals(then["flights"]["arr_delay"])
    assert (now["flights"]["arrived_at"] - shift).equals(then["flights"]["arrived_at"])
    assert (now["planes"]["year"] - 13).equals(then["planes"]["year"])


@pytest.mark.parametrize("day", [date(2013, 3, 10), date(2013, 7, 22), date(2013, 11, 3)])
def test_a_flight_arrives_as_late_as_its_delay_says(day: date) -> None:
    flights = rows_of(day)["flights"]
    arrived = flights.filter(pl.col("arr_delay").is_not_null())
    assert flights["arrived_at"].null_count() == flights.height - arrived.height > 0
    left = pl.col("time_hour") + pl.duration(minutes=pl.col("minute") + pl.col("dep_delay"))
    taxied = arrived.select((pl.col("arrived_at") - left).dt.total_minutes() - pl.col("air_time")).to_series()
    assert 5 <= taxied.min() <= taxied.max() <= 240  # type: ignore[operator]
    assert 20 <= taxied.median() <= 40  # type: ignore[operator]


def test_an_arrival_is_told_by_the_clock_of_the_destination() -> None:
    flights = rows_of(date(2013, 7, 4))["flights"]
    for dest, hours in [("LAX", 7), ("SJU", 4), ("HNL", 10), ("BOS", 4)]:
        row = flights.filter(pl.col("dest") == dest, pl.col("arr_delay").is_not_null()).row(0, named=True)
        clock = row["arrived_at"] - timedelta(hours=hours)
        assert clock.hour * 100 + clock.minute == row["arr_time"]


def test_the_hour_that_autumn_repeats_keeps_both_its_weather_records() -> None:
    weather = rows_of(date(2013, 11, 3))["weather"].filter(pl.col("origin") == "EWR", pl.col("hour") == 1)
    assert weather["time_hour"].dt.strftime("%H:%M").to_list() == ["05:00", "06:00"]


def test_a_date_without_weather_has_a_file_without_rows() -> None:
    assert rows_of(date(2013, 12, 31))["weather"].height == 0
