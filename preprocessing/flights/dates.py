"""Which dates have flights, and how far features look back. Imports only datetime, because DAG files import it."""

from __future__ import annotations

from datetime import date

FIRST = date(2013, 1, 1)
"""First date with flights."""
RATE_DAYS = 28
"""Days that a late rate covers: four whole weeks, so that all weekdays have the same weight."""
HISTORY_DAYS = RATE_DAYS + 1
"""Days of flights read before the window: RATE_DAYS before a cut-off that may be on the evening before, and flights
that left on the day before that. This covers all flights that land within 45 hours after their date began; the latest
of 2013 took 42."""
MAX_DAYS = 330
"""Longest window in days: with its history, it is shorter than the 364 days after which the data repeat (`source`)."""
