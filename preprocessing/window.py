"""Which dates belong to a partition: its rolling window, the history behind it, and its splits.

Light on purpose (datetime only). For partition D, in days:

    |----- history ----|------------ window: `days` ending with D -------------|
                       |---- train ----|-- val: `val_days` --|- test: `test_days` -|

Rows come from the window. The history is what a raw table is read before it (`spec.RawTable.days_before`), for features
that look back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from preprocessing.errors import WindowError

MIN_TRAIN_DAYS = 7

DAY = timedelta(days=1)


def parse_partition(key: str) -> date:
    """Return the date of a partition key. Raises WindowError unless it is YYYY-MM-DD."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", key):
            return date.fromisoformat(key)
    except ValueError:
        pass
    raise WindowError(f"partition {key!r} is not a date; expected YYYY-MM-DD, such as 2013-07-04")


def _from_to(first: date, last: date) -> list[date]:
    return [first + i * DAY for i in range((last - first).days + 1)]


@dataclass(frozen=True)
class Span:
    """Consecutive dates of rows that are built at once: a window, or a part of it."""

    first: date
    last: date
    start: date | None = None
    """First date that can exist at all: what would be read before it is not."""

    def own_dates(self) -> list[date]:
        """Return the dates of its rows."""
        return _from_to(self.first, self.last)

    def dates(self, before: int = 0) -> list[date]:
        """Return the dates of a raw table that is read so many days `before` the first row, in order."""
        first = self.first - before * DAY
        return _from_to(first if self.start is None else max(first, self.start), self.last)


@dataclass(frozen=True)
class Window:
    """The dates of one partition. Raises WindowError when the splits do not fit."""

    partition: date
    days: int = 90
    """Days of rows, the partition's own day included."""
    val_days: int = 14
    test_days: int = 7
    """Last days of the window: the newest rows are what the model is judged on. A single day is too noisy."""
    start: date | None = None
    """First date that can exist at all; a window that would begin earlier is cut there."""
    longest: int | None = None
    """Most days that a window may have; None: any number."""

    def __post_init__(self) -> None:
        if self.val_days < 1 or self.test_days < 1:
            raise WindowError(f"val_days {self.val_days} and test_days {self.test_days} must each be at least 1")
        least = self.val_days + self.test_days + MIN_TRAIN_DAYS
        if self.days < least or (self.longest is not None and self.days > self.longest):
            most = "or more" if self.longest is None else f"to {self.longest}"
            raise WindowError(
                f"a window of {self.days} days is not supported; expected {least} (train {MIN_TRAIN_DAYS}, "
                f"val {self.val_days}, test {self.test_days}) {most} days"
            )
        held = (self.partition - self.first).days + 1
        if held < least:
            raise WindowError(
                f"partition {self.partition} has {max(held, 0)} days of data (from {self.start} on); expected at "
                f"least {least}: the first partition that can be trained is {self.first + (least - 1) * DAY}"
            )

    @property
    def first(self) -> date:
        """First date whose rows are in the table."""
        first = self.partition - (self.days - 1) * DAY
        return first if self.start is None else max(first, self.start)

    @property
    def span(self) -> Span:
        """All dates of the window."""
        return Span(self.first, self.partition, self.start)

    def dates(self, before: int = 0) -> list[date]:
        """Return the dates of a raw table that is read so many days `before` the first row (see Span)."""
        return self.span.dates(before)

    def splits(self) -> dict[str, tuple[date, date]]:
        """Return first and last date of train, val and test: disjoint, complete and in order of time."""
        test = self.partition - (self.test_days - 1) * DAY
        val = test - self.val_days * DAY
        return {
            "train": (self.first, val - DAY),
            "val": (val, test - DAY),
            "test": (test, self.partition),
        }
