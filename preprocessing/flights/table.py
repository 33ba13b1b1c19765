"""The flights' TableSpec. Heavy modules are imported when they are used, because DAG files import this one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from preprocessing.flights import fields
from preprocessing.flights.dates import FIRST, HISTORY_DAYS, MAX_DAYS
from preprocessing.spec import DAY, INTEGER, NUMBER, TEXT, TIME, Limits, RawTable, TableSpec
from preprocessing.window import Span

if TYPE_CHECKING:
    import pandera.polars

    from preprocessing.spec import Frame

FLIGHT_COLUMNS = {
    "flight_date": DAY,
    "time_hour": TIME,
    "hour": INTEGER,
    "minute": INTEGER,
    "sched_arr_time": INTEGER,
    "arr_delay": INTEGER,
    "arrived_at": TIME,
    "carrier": TEXT,
    "flight": INTEGER,
    "tailnum": TEXT,
    "origin": TEXT,
    "dest": TEXT,
    "distance": INTEGER,
}
WEATHER_COLUMNS = {
    "origin": TEXT,
    "time_hour": TIME,
    "temp": NUMBER,
    "dewp": NUMBER,
    "humid": NUMBER,
    "wind_dir": NUMBER,
    "wind_speed": NUMBER,
    "wind_gust": NUMBER,
    "precip": NUMBER,
    "pressure": NUMBER,
    "visib": NUMBER,
}
PLANE_COLUMNS = {"flight_date": DAY, "tailnum": TEXT, "year": INTEGER, "seats": INTEGER, "model": TEXT}

RAW = {
    # The late rates read the flights once per group.
    "flights": RawTable(columns=FLIGHT_COLUMNS, days_before=HISTORY_DAYS, read_repeatedly=True),
    # One day before, for flights just after midnight.
    "weather": RawTable(columns=WEATHER_COLUMNS, days_before=1, may_be_empty=True),
    "planes": RawTable(columns=PLANE_COLUMNS, may_be_empty=True),
}

LIMITS = Limits(
    label_share=(0.02, 0.8),
    # Calm hours have no gust, storms often no pressure (up to a third of a short window's rows), and every sixth plane
    # is not registered.
    null_share={"wind_gust": 1.0, **dict.fromkeys(["pressure", "plane_age", "plane_seats", "plane_model"], 0.5)},
    # Measured: up to 0.11 between train and test, 0.03 between the newest day and earlier partitions. Weather and late
    # rates naturally differ between months and between days, so their drift is only reported.
    drift_of=[*fields.SCHEDULE, "carrier", "origin", "dest"],
    daily_drift_of=[*fields.SCHEDULE, *fields.PLANE, "carrier", "origin", "dest", "plane_model"],
    not_daily=["day_of_week"],
)


def _build(raw: Mapping[str, Frame], span: Span) -> Frame:
    from preprocessing.flights import features

    return features.build(raw, span)


def _schema() -> pandera.polars.DataFrameSchema:
    from preprocessing.flights import schema

    return schema.table_schema()


def _source(dates: Mapping[str, Sequence[date]]) -> Iterator[tuple[str, bytes]]:
    from preprocessing.flights import source

    return source.extract(dates)


FLIGHTS = TableSpec(
    id_name=fields.ID,
    label_name=fields.LABEL,
    date_name=fields.DATE,
    tab_field_list=fields.TAB_FIELD_LIST,
    cat_field_list=fields.CAT_FIELD_LIST,
    order=fields.ORDER,
    never_features=fields.NEVER_FEATURES,
    raw=RAW,
    build=_build,
    schema=_schema,
    limits=LIMITS,
    first=FIRST,
    max_days=MAX_DAYS,
    source=_source,
)
