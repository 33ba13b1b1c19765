"""A queue of ARNs to process soon or at a given time, without duplicates."""

from __future__ import annotations

import heapq
import threading
import time
from collections import OrderedDict


class WakeQueue:
    """ARNs in the order in which they were woken, for a single thread that calls `next`."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._awake: OrderedDict[str, None] = OrderedDict()
        self._timers: list[tuple[float, str]] = []
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether the queue is closed because the server is shutting down."""
        return self._is_closed

    def wake(self, arn: str) -> None:
        """Add an ARN to process soon."""
        with self._condition:
            self._awake[arn] = None
            self._condition.notify_all()

    def wake_at(self, moment: float, arn: str) -> None:
        """Add an ARN to process at a time in seconds since the epoch."""
        with self._condition:
            if (moment, arn) not in self._timers:
                heapq.heappush(self._timers, (moment, arn))
                self._condition.notify_all()

    def next(self) -> str | None:
        """Wait for the next ARN; None after the queue is closed."""
        with self._condition:
            while not self._is_closed:
                while self._timers and self._timers[0][0] <= time.time():
                    self._awake[heapq.heappop(self._timers)[1]] = None
                if self._awake:
                    return self._awake.popitem(last=False)[0]
                self._condition.wait(self._timers[0][0] - time.time() if self._timers else None)
        return None

    def close(self) -> None:
        """Unblock `next` and `wait_closed`. The next server finds what is still queued in the database."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    def wait_closed(self, seconds: float) -> bool:
        """Wait for at most that many seconds; return whether the queue is closed."""
        with self._condition:
            return self._condition.wait_for(lambda: self._is_closed, timeout=seconds)
