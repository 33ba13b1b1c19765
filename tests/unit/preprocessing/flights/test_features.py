from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from preprocessing.flights import features, fields
from preprocessing.flights.dates import HISTORY_DAYS, RATE_DAYS
from preprocessing.window import Window

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
@given(offset=offsets, hour=st.integers(0, 23), seed=st.integers(0, 99))
def test_no_feature_knows_an_outcome_that_was_not_known_at_its_cut_off(
    tables: Tables, window: Window, build: Build, offset: int, hour: int, seed: int
) -> None:
    moment = moment_of(window, offset, hour)
    flights = tables["flights"]
    still_flying = pl.col("arrived_at") >= moment
    other = flights.with_columns(
        arr_delay=pl.when(still_flying).then(pl.col("arr_delay").shuffle(seed).fill_null(99)).otherwise("arr_delay"),
        arrived_at=pl.when(still_flying).then(pl.col("arrived_at") + timedelta(minutes=seed)).otherwise("arrived_at"),
    )
    assert not other.equals(flights)
    before, after = (
        rows_cut_off_by(moment, given, build(given, window)) for given in (tables, {**tables, "flights": other})
    )
    assert_frame_equal(after, before)


@few
@given(offset=offsets, hour=st.integers(0, 23))
def test_what_comes_later_may_as_well_not_exist(
    tables: Tables, window: Window, build: Build, offset: int, hour: int
) -> None:
    moment = moment_of(window, offset, hour)
    flights = tables["flights"]
    # A flight that is to leave has its row, whatever becomes of it; the others are not heard of yet.
    past = flights.filter((pl.col("arrived_at") < moment) | (cut_off() <= moment))
    known = {"flights": past, "weather": tables["weather"].filter(pl.col("time_hour") <= moment)}
    before, after = (rows_cut_off_by(moment, given, build(given, window)) for given in (tables, {**tables, **known}))
    assert_frame_equal(after, before)


def moment_of(window: Window, offset: int, hour: int) -> datetime:
    """An hour of the window, in UTC."""
    day = window.first + timedelta(days=offset)
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def cut_off() -> pl.Expr:
    return pl.col("time_hour") - timedelta(hours=features.HOURS_BEFORE)


def rows_cut_off_by(moment: datetime, given: Tables, table: pl.DataFrame) -> pl.DataFrame:
    """The features of the rows whose cut-off is not later than this moment."""
    ids = given["flights"].filter(cut_off() <= moment).select(flight_id=_id())
    return table.join(ids, on=fields.ID, how="semi").select(FEATURES)


def test_a_flight_in_the_air_at_the_cut_off_is_not_counted(tables: Tables, window: Window, build: Build) -> None:
    """Down to the minute: landing in the last minute before the cut-off counts, landing at it does not."""
    flights, id_ = tables["flights"], _id()
    row = flights.filter(pl.col("arr_delay").is_not_null(), pl.col("flight_date") == window.partition).row(
        0, named=True
    )
    at = row["time_hour"] - timedelta(hours=features.HOURS_BEFORE)
    yesterday = flights.filter(pl.col("flight_date") < window.partition, pl.col("origin") == row["origin"])
    other = yesterday.filter(pl.col("arr_delay") >= 15).row(-1, named=True)
    rates = []
    for landed in (at - timedelta(minutes=1), at, at + timedelta(minutes=1)):
        changed = (
            pl.when(id_ == id_of(other)).then(pl.lit(landed)).otherwise("arrived_at").cast(pl.Datetime("us", "UTC"))
        )
        table = build({**tables, "flights": flights.with_columns(arrived_at=changed)}, window)
        rates.append(table.filter(pl.col(fields.ID) == id_of(row))["late_rate_origin"].item())
    assert rates[0] > rates[1] == rates[2]


def test_a_flight_has_the_same_features_in_every_partition(tables: Tables, window: Window, build: Build) -> None:
    """Its late rates look back from it, not from the window's edge: enough history is read before the window."""
    earlier = Window(window.partition, window.days + 3, window.val_days, window.test_days)

    def cut(w: Window) -> pl.DataFrame:
        read = pl.col("flight_date").is_in(w.dates(HISTORY_DAYS))
        return build({**tables, "flights": tables["flights"].filter(read)}, w)

    short = cut(window)
    assert_frame_equal(cut(earlier).filter(pl.col(fields.DATE) >= window.first), short)


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


def id_of(flight: dict[str, Any]) -> str:
    return "-".join(str(flight[name]) for name in ("flight_date", "origin", "carrier", "flight"))


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
        until = flight["time_hour"] - timedelta(hours=features.HOURS_BEFORE)
        recent = [f for f in flown if until - timedelta(days=RATE_DAYS) <= f["arrived_at"] < until]
        group = [f for f in recent if all(f[key] == flight[key] for key in keys)]
        prior = sum(f["arr_delay"] >= 15 for f in recent) / len(recent)
        late = sum(f["arr_delay"] >= 15 for f in group)
        expected = (late + features.SMOOTHING * prior) / (len(group) + features.SMOOTHING)
        assert table[flight["id"]] == pytest.approx(expected, rel=1e-12)


def test_before_the_first_landing_there_are_no_late_rates(tables: Tables, build: Build) -> None:
    flights = tables["flights"]
    first = flights["flight_date"].min()
    assert isinstance(first, date)
    table = build(tables, Window(first + timedelta(days=40), days=60, start=first))
    # An hour's landings are known when it is over.
    known = flights.select(pl.col("arrived_at").dt.truncate("1h").min()).item() + timedelta(hours=1)
    rates = table.join(flights.select(cut_off().alias("at"), flight_id=_id()), on=fields.ID)
    blind, seeing = rates.filter(pl.col("at") < known), rates.filter(pl.col("at") >= known)
    assert blind.height > 0
    assert blind.select(list(fields.LATE_RATE_KEYS)).null_count().row(0) == (blind.height,) * len(fields.LATE_RATE_KEYS)
    assert seeing["late_rate_dest"].null_count() == 0


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
