"""Build the training table: what is known about a flight two hours before its scheduled departure, and its label.

The frames are Narwhals LazyFrames, so the same code runs on Polars and on Spark. Decisions:

- A flight without arr_delay was cancelled or diverted. It has no label, and is excluded from the late rates too.
- All features have the same cut-off: two hours before the hour of departure, in UTC, so that a change of clocks does
  not matter.
- Weather is the origin's record of the cut-off's hour; of several records, the smallest value of each column.
- A late rate covers the flights that landed in the 28 days before the cut-off, including the same day's, but none that
  was still in the air. It is smoothed towards the rate of all flights of these days, which weighs as much as SMOOTHING
  flights of the group.
- The calendar month is not a feature: training never sees the months of the test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import narwhals as nw

from preprocessing.flights import fields
from preprocessing.flights.dates import RATE_DAYS
from preprocessing.window import DAY, Span

if TYPE_CHECKING:
    from preprocessing.spec import Frame

SMOOTHING = 20
"""Weight of the overall rate in each group's late rate, in flights."""
HOURS_BEFORE = 2
"""Hours from the cut-off to the hour of the scheduled departure; features use nothing later than the cut-off."""

CUT_OFF = "cut_off"
ENTERS, LEAVES = "enters", "leaves"
"""When a landing starts and stops to count."""


def build(raw: Mapping[str, Frame], span: Span) -> Frame:
    """Return a row with the columns `fields.FULL_FIELD_LIST` for each flight that arrived, in no particular order.

    `raw` has the tables of `table.RAW`. A large window is built in several spans, each with its history, so a row must
    not depend on the span.
    """
    arrived = with_label(raw["flights"])
    rows = arrived.filter(nw.col("flight_date") >= nw.lit(span.first))
    rows = rows.with_columns(nw.col("time_hour").dt.offset_by(f"-{HOURS_BEFORE}h").alias(CUT_OFF))
    rows = add_late_rates(rows, arrived, span)
    rows = add_schedule(rows)
    rows = add_weather(rows, raw["weather"])
    rows = add_plane(rows, raw["planes"])
    return rows.select(*fields.FULL_FIELD_LIST)


def with_label(flights: Frame) -> Frame:
    """Add the label, and drop flights that did not arrive at their destination."""
    late = (nw.col("arr_delay") >= fields.LATE_MINUTES).cast(nw.Int64)
    return flights.filter(~nw.col("arr_delay").is_null()).with_columns(late.alias(fields.LABEL))


def add_schedule(rows: Frame) -> Frame:
    """Add the id and what the timetable contains. Minutes are local time."""
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
        # A day is added, because the difference is negative for an arrival after midnight.
        ((arrival - departure + 1440) % 1440).alias("scheduled_minutes"),
        # Sunday is 7 on Polars and 0 on Spark (Narwhals 2.29): the remainder makes it 0 on both.
        (nw.col("flight_date").dt.weekday() % 7).cast(nw.String).alias("day_of_week"),
    )


def add_weather(rows: Frame, weather: Frame) -> Frame:
    """Add the weather at the origin in the cut-off's hour."""
    seen = weather.select("origin", nw.col("time_hour").alias(CUT_OFF), *fields.WEATHER)
    seen = seen.group_by("origin", CUT_OFF).agg(*[nw.col(name).min() for name in fields.WEATHER])
    return rows.join(seen, on=["origin", CUT_OFF], how="left")


def add_plane(rows: Frame, planes: Frame) -> Frame:
    """Add the plane's age in years, seats and model, as registered on the flight's date."""
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


def add_late_rates(rows: Frame, arrived: Frame, span: Span) -> Frame:
    """Add each group's smoothed late rate over the RATE_DAYS days before the row's cut-off."""
    known = _landings(arrived, span)
    asked = rows
    rows = rows.join(_known_at(asked, known, [], "all"), on=CUT_OFF, how="left")
    prior = nw.when(nw.col("all_flights") > 0).then(nw.col("all_late") / nw.col("all_flights"))
    for feature, keys in fields.LATE_RATE_KEYS.items():
        group = _known_at(asked, known, keys, "group")
        rate = (nw.col("group_late") + SMOOTHING * prior) / (nw.col("group_flights") + SMOOTHING)
        rows = rows.join(group, on=[*keys, CUT_OFF], how="left").with_columns(rate.alias(feature))
        rows = rows.drop("group_flights", "group_late")
    return rows


def _landings(arrived: Frame, span: Span) -> Frame:
    """Return the flights that count at some cut-off of the span, and when each starts and stops to count.

    Those that count from the span's beginning get the same start, and those that count to its end have no end. So a
    long history is aggregated to one number per group.
    """
    # All cut-offs are between these, in any time zone. A landing without a time never counts.
    begin = datetime.combine(span.first - DAY, time(), UTC)
    end = datetime.combine(span.last + 2 * DAY, time(), UTC)
    # An hour's landings are known at its end.
    known = nw.col("arrived_at").dt.truncate("1h").dt.offset_by("1h")
    back = timedelta(days=RATE_DAYS)
    landed = arrived.with_columns(known.alias(ENTERS)).filter(nw.col(ENTERS) > begin - back, nw.col(ENTERS) < end)
    ceases = nw.when(nw.col(ENTERS) < end - back).then(nw.col(ENTERS).dt.offset_by(f"{RATE_DAYS}d"))
    starts = nw.when(nw.col(ENTERS) > begin).then(nw.col(ENTERS)).otherwise(nw.lit(begin))
    return landed.with_columns(ceases.alias(LEAVES)).with_columns(starts.alias(ENTERS))


def _known_at(asked: Frame, known: Frame, keys: Sequence[str], prefix: str) -> Frame:
    """Count the flights, and the late ones, that landed in the RATE_DAYS days before each cut-off of `asked`, by group.

    Landings enter the sum when they are known and leave it RATE_DAYS days later, so a running total over these changes
    is the sum of the last RATE_DAYS days. Unlike a rolling window, it needs neither a dense calendar nor a range join.
    """
    flights, late = f"{prefix}_flights", f"{prefix}_late"
    by = [*keys, CUT_OFF]

    def changes(frame: Frame, at: str, count: int) -> Frame:
        late_ones = nw.col(fields.LABEL) * count
        return frame.select(
            *keys, nw.col(at).alias(CUT_OFF), nw.lit(count, nw.Int64).alias(flights), late_ones.alias(late)
        )

    left = known.filter(~nw.col(LEAVES).is_null())
    every = nw.concat([changes(known, ENTERS, 1), changes(left, LEAVES, -1), changes(asked, CUT_OFF, 0)])
    net = every.group_by(*by).agg(nw.col(flights).sum(), nw.col(late).sum())
    totals = [nw.col(name).cum_sum().over(*keys, order_by=CUT_OFF).alias(name) for name in (flights, late)]
    return net.with_columns(*totals)
