from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from preprocessing import features, fields
from preprocessing.window import RATE_DAYS, Window

Tables = dict[str, pl.DataFrame]
Build = Callable[[Tables, Window], pl.DataFrame]
FEATURES = [fields.ID, fields.DATE, *fields.TAB_FIELD_LIST, *fields.CAT_FIELD_LIST]
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
offsets = st.integers(0, 35)


def test_the_table_has_the_columns_that_fields_names(tables: Tables, window: Window, build: Build) -> None:
    table = build(tables, window)
    assert table.columns == fields.FULL_FIELD_LIST
    assert not set(fields.NEVER_FEATURES) & set(table.columns)
    arrived = tables["flights"].filter(pl.col("arr_delay").is_not_null(), pl.col("flight_date") >= window.first)
    assert table.height == arrived.height
    assert table[fields.LABEL].sum() == arrived.filter(pl.col("arr_delay") >= 15).height


@few
@given(offset=offsets, seed=st.integers(0, 99))
def test_no_feature_knows_an_outcome_of_its_own_day_or_later(
    tables: Tables, window: Window, build: Build, offset: int, seed: int
) -> None:
    cut = window.first + timedelta(days=offset)
    flights = tables["flights"]
    later = pl.col("flight_date") >= cut
    # Not the missing ones: whether a flight was cancelled decides about its row, not about its features.
    shuffled = pl.col("arr_delay").shuffle(seed)
    other = flights.with_columns(
        arr_delay=pl.when(later & pl.col("arr_delay").is_not_null()).then(shuffled.fill_null(99)).otherwise("arr_delay")
    )
    assert not other.equals(flights)
    seen = pl.col(fields.DATE) <= cut
    before, after = build(tables, window), build({**tables, "flights": other}, window)
    assert_frame_equal(after.filter(seen).select(FEATURES), before.filter(seen).select(FEATURES))


@few
@given(offset=offsets)
def test_what_comes_later_may_as_well_not_exist(tables: Tables, window: Window, build: Build, offset: int) -> None:
    cut = window.first + timedelta(days=offset)
    past = {**tables, "flights": tables["flights"].filter(pl.col("flight_date") <= cut)}
    assert_frame_equal(build(past, window), build(tables, window).filter(pl.col(fields.DATE) <= cut))


def test_nothing_known_only_after_departure_is_used(tables: Tables, window: Window, build: Build) -> None:
    without = tables["flights"].drop("dep_time", "dep_delay", "arr_time", "air_time")
    assert_frame_equal(build({**tables, "flights": without}, window), build(tables, window))


@few
@given(pick=st.integers(0, 300))
def test_weather_of_less_than_two_hours_before_departure_is_not_used(
    tables: Tables, window: Window, build: Build, pick: int
) -> None:
    table = build(tables, window)
    row = table.row(pick % table.height, named=True)
    cut = tables["flights"].filter(_id() == row[fields.ID])["time_hour"][0] - timedelta(hours=2)
    wild = [pl.when(pl.col("time_hour") > cut).then(-999.0).otherwise(name).alias(name) for name in fields.WEATHER]
    other = build({**tables, "weather": tables["weather"].with_columns(wild)}, window)
    assert other.row(by_predicate=pl.col(fields.ID) == row[fields.ID], named=True) == row
    assert (other["temp"] == -999).any() or row[fields.DATE] == window.partition


def _id() -> pl.Expr:
    parts = [pl.col("flight_date").cast(pl.String), "origin", "carrier", pl.col("flight").cast(pl.String)]
    return pl.concat_str(parts, separator="-")


@pytest.mark.parametrize(("feature", "keys"), fields.LATE_RATE_KEYS.items())
def test_late_rates_equal_a_count_by_hand(
    tables: Tables, window: Window, build: Build, feature: str, keys: tuple[str, ...]
) -> None:
    flown = tables["flights"].filter(pl.col("arr_delay").is_not_null()).with_columns(id=_id()).to_dicts()
    table = dict(build(tables, window).select(fields.ID, feature).iter_rows())
    for flight in [flight for flight in flown if flight["id"] in table][::17]:
        day: date = flight["flight_date"]
        recent = [f for f in flown if day - timedelta(days=RATE_DAYS) <= f["flight_date"] < day]
        group = [f for f in recent if all(f[key] == flight[key] for key in keys)]
        prior = sum(f["arr_delay"] >= 15 for f in recent) / len(recent)
        late = sum(f["arr_delay"] >= 15 for f in group)
        expected = (late + features.SMOOTHING * prior) / (len(group) + features.SMOOTHING)
        assert table[flight["id"]] == pytest.approx(expected, rel=1e-12)


def test_the_first_day_of_all_has_no_late_rates(tables: Tables, build: Build) -> None:
    first = tables["flights"]["flight_date"].min()
    assert isinstance(first, date)
    table = build(tables, Window(first + timedelta(days=40), days=60, start=first))
    day_one = table.filter(pl.col(fields.DATE) == first)
    assert day_one.height > 0
    assert day_one.select(list(fields.LATE_RATE_KEYS)).null_count().row(0) == (day_one.height,) * len(
        fields.LATE_RATE_KEYS
    )
    assert table.filter(pl.col(fields.DATE) > first)["late_rate_dest"].null_count() == 0


def test_two_weather_records_of_one_hour_do_not_double_a_flight(tables: Tables, window: Window, build: Build) -> None:
    twice = {**tables, "weather": pl.concat([tables["weather"], tables["weather"]])}
    assert_frame_equal(build(twice, window), build(tables, window))


def test_an_arrival_after_midnight_takes_no_negative_time(tables: Tables, window: Window, build: Build) -> None:
    late_evening = {"hour": pl.lit(23), "minute": pl.lit(50), "sched_arr_time": pl.lit(110)}
    flights = tables["flights"].with_columns(**late_evening)
    assert set(build({**tables, "flights": flights}, window)["scheduled_minutes"]) == {80}


def test_a_plane_is_as_old_as_on_the_day_of_the_flight(tables: Tables, window: Window, build: Build) -> None:
    table = build(tables, window)
    assert set(table["plane_age"].drop_nulls()) <= {2021 - (1990 + i) for i in range(6)}
    assert table["plane_age"].null_count() == table["plane_model"].null_count() > 0
