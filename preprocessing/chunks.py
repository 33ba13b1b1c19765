"""Divide a window into spans of dates that are built one after the other, so that memory does not grow with it."""

from __future__ import annotations

from preprocessing import raw
from preprocessing.window import Span, Window

ROWS = 1_000_000
"""Raw rows per span, without its history. Fewer rows need less memory, but the history is read more often."""


def spans(window: Window, files: raw.Files, rows: int = ROWS) -> list[Span]:
    """Return consecutive spans that cover the window, each of at most `rows` raw rows or of a single date."""
    found: list[Span] = []
    held = 0
    for day in window.span.own_dates():
        more = sum(of_table[day].rows for of_table in files.values() if day in of_table)
        if found and held + more <= rows:
            found[-1] = Span(found[-1].first, day, window.start)
            held += more
        else:
            found.append(Span(day, day, window.start))
            held = more
    return found
