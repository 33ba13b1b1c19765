"""The columns of the flights' table, which `features.py` builds.

Imports nothing, because DAG files read these lists when they are parsed.
"""

from __future__ import annotations

ID = "flight_id"
LABEL = "late"
DATE = "flight_date"

LATE_MINUTES = 15
"""A flight is late (label 1) if it arrives at least so many minutes behind schedule, as in the statistics of the US
Bureau of Transportation Statistics."""

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
"""Columns of the group by late rate: the smoothed share of late flights among those that landed in the 28 days before
the cut-off."""

TAB_FIELD_LIST = [*SCHEDULE, *PLANE, *WEATHER, *LATE_RATE_KEYS]
CAT_FIELD_LIST = ["day_of_week", "carrier", "origin", "dest", "plane_model"]
FULL_FIELD_LIST = [ID, DATE, LABEL, *TAB_FIELD_LIST, *CAT_FIELD_LIST]

ORDER = [DATE, "departure_minute", ID]
"""Columns that the rows of each split are sorted by."""

NEVER_FEATURES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "arrived_at"]
"""Columns known only at or after departure: the label may depend on them, features must not."""
