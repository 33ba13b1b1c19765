"""Waiting for something in another process or thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 180
"""Seconds that a busy machine may need."""


def wait_until(condition: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """Return the first true value of `condition`. Raises AssertionError with `what` if there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")
