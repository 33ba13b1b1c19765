"""Which dates there are flights for, and how far their features look back. Light on purpose (datetime only)."""

from __future__ import annotations

from datetime import date

FIRST = date(2013, 1, 1)
"""First date with flights."""
RATE_DAYS = 28
"""Days of outcomes behind each late rate: four whole weeks, so that no weekday weighs more than another."""
HISTORY_DAYS = RATE_DAYS + 1
"""Days of flights read before the window: RATE_DAYS back from a cut-off that may lie on the evening before, to flights
that left on the day before that. Enough for those that land within 45 hours of the midnight that their date begins with
(the last of 2013 took 42)."""
MAX_DAYS = 330
"""Longest window: with its history it stays below the 364 days after which the source data repeat (see `source`)."""
