"""ISO 8601 durations, as in CacheConfig.ExpireAfter."""

from __future__ import annotations

import re

_DURATION = re.compile(
    r"P?(?:(?P<Y>\d+)Y)?(?:(?P<Mo>\d+)M)?(?:(?P<W>\d+)W)?(?:(?P<D>\d+)D)?"
    r"(?:T(?:(?P<H>\d+)H)?(?:(?P<Mi>\d+)M)?(?:(?P<S>\d+)S)?)?",
    re.IGNORECASE,
)
_SECONDS = {"Y": 365 * 86400, "Mo": 30 * 86400, "W": 7 * 86400, "D": 86400, "H": 3600, "Mi": 60, "S": 1}


def duration_seconds(text: object) -> float | None:
    """The seconds of a duration such as `P30D`, `PT1H`, `T12H` or `5d`; None if it is not valid.

    A year has 365 days, a month 30.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) and len(text) <= 64 else None
    if match is None or not any(match.groupdict().values()):
        return None
    return float(sum(int(value) * _SECONDS[unit] for unit, value in match.groupdict().items() if value))
