"""Cut a window into spans of whole dates that are built one after the other, so that memory does not grow with it."""

from __future__ import annotations

from preprocessing import raw
from preprocessing.window import Span, Window

ROWS = 1_000_000
"""Raw rows of a span, its history not counted. Fewer take less memory, and read the history more often."""


def spans(window: Window, files: raw.Files, rows: int = ROWS) -> list[Span]:
    """Return consecutive spans that hold the window, each of at most `rows` raw rows; a larger date stands alone."""
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
