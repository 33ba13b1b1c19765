"""Pauses between attempts: jittered exponential backoff within a time limit."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator


def jittered_pauses(*, within: float, first: float = 0.5, longest: float = 10.0) -> Iterator[float]:
    """Yield the pauses in seconds between attempts; none of them ends later than `within` seconds from now.

    They double from `first` up to `longest`. Each is shortened at random by up to half, so that many tasks with the
    same fault do not repeat their calls together.
    """
    return _pauses_until(time.monotonic() + within, first, longest)  # not when the first pause is consumed


def _pauses_until(deadline: float, pause: float, longest: float) -> Iterator[float]:
    while time.monotonic() + pause <= deadline:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
        pause = min(pause * 2, longest)
