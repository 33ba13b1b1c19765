"""The columns of the flights' table: the one place that names them.

Light on purpose (no imports): DAG files read the lists at parse time. `features.py` builds them; every
feature is known two hours before the scheduled departure.
"""

from __future__ import annotations

ID = "flight_id"
LABEL = "late"
DATE = "flight_date"

LATE_MINUTES = 15
"""A flight is late (label 1) when it arrives at least this many minutes after schedule: the usual industry rule."""

SCHEDULE = ["departure_minute", "scheduled_minutes", "distance"]
PLANE = ["plane_age", "plane_seats"]
WEATHER = [
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
]
LATE_RATE_KEYS: dict[str, tuple[str, ...]] = {
    "late_rate_origin": ("origin",),
    "late_rate_carrier_origin": ("carrier", "origin"),
    "late_rate_dest": ("dest",),
    "late_rate_plane": ("tailnum",),
    "late_rate_flight": ("carrier", "flight"),
}
"""Smoothed share of late flights per group among those that landed in the 28 days up to the cut-off: feature -> columns
of the group."""

TAB_FIELD_LIST = [*SCHEDULE, *PLANE, *WEATHER, *LATE_RATE_KEYS]
CAT_FIELD_LIST = ["day_of_week", "carrier", "origin", "dest", "plane_model"]
FULL_FIELD_LIST = [ID, DATE, LABEL, *TAB_FIELD_LIST, *CAT_FIELD_LIST]

ORDER = [DATE, "departure_minute", ID]
"""Order of the rows in every split: that of time."""

NEVER_FEATURES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "arrived_at"]
"""Columns known only at or after departure: they may make the label, never a feature."""
