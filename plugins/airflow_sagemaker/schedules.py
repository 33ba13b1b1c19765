"""From a preset or a cron expression to Airflow's partition timetable."""

from __future__ import annotations

import re
import zoneinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import CronPartitionTimetable

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}


def partition_timetable(schedule: str, timezone: str = "UTC") -> CronPartitionTimetable:
    """Return the timetable whose runs train the partition of a period after its end.

    The partition key is the period's first day, or its hour or minute if the cron expression runs more than once a day.
    Raises ValueError for an expression that Airflow rejects, and for an unknown time zone.
    """
    expected = f"expected one of {', '.join(PRESETS)}, a cron expression such as '0 6 * * *', or none"
    if schedule.startswith("@") and schedule not in PRESETS:
        raise ValueError(f"{schedule!r} is not a schedule; {expected}")
    expression = PRESETS.get(schedule, schedule)
    if len(expression.split()) != 5:
        raise ValueError(f"{schedule!r} is not a schedule; {expected}")
    if timezone not in zoneinfo.available_timezones():
        raise ValueError(f"{timezone!r} is not a time zone; expected a name such as UTC or Europe/Berlin")
    from airflow.sdk import CronPartitionTimetable

    try:
        _check_cron(expression)
        return CronPartitionTimetable(expression, timezone=timezone, run_offset=-1, key_format=key_format(expression))
    except Exception as error:  # Airflow's own kinds differ between versions
        raise ValueError(f"{schedule!r} is rejected by Airflow: {' '.join(str(error).split())}; {expected}") from None


def _check_cron(expression: str) -> None:
    """Check an expression with the scheduler's timetable; the DAG files' timetable does not check it."""
    from airflow.timetables.trigger import CronTriggerTimetable

    CronTriggerTimetable(expression, timezone="UTC").validate()


def key_format(expression: str) -> str:
    """Return the strftime format of the partition keys: by day, unless the expression runs more than once a day."""
    minute, hour, *_ = expression.split()
    if not re.fullmatch(r"\d+", minute):
        return "%Y-%m-%dT%H-%M"
    return "%Y-%m-%d" if re.fullmatch(r"\d+", hour) else "%Y-%m-%dT%H"
