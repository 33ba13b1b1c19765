"""Optional throttling: a maximum of calls per second and action, to test how clients handle it."""

from __future__ import annotations

import threading
import time

from local_sagemaker.errors import ServiceError


class Throttle:
    """A token bucket per action, which holds the calls of one second. A rate of 0 means no limit."""

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._size = max(1.0, per_second)
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, action: str) -> None:
        """Count a call; raises ThrottlingException if there were too many."""
        if not self._rate:
            return
        with self._lock:
            moment = time.monotonic()
            left, since = self._buckets.get(action, (self._size, moment))
            left = min(self._size, left + (moment - since) * self._rate)
            allowed = left >= 1
            self._buckets[action] = (left - 1 if allowed else left, moment)
        if not allowed:
            error = ServiceError("Rate exceeded")
            error.code = "ThrottlingException"
            raise error
