"""The dates of a partition: its rolling window, the history before it, and its splits.

Imports only datetime, because DAG files import it. For partition D, in days:

    |----- history ----|------------ window: `days` ending with D -------------|
                       |---- train ----|-- val: `val_days` --|- test: `test_days` -|

Rows come from the window. A raw table's history (`spec.RawTable.days_before`) is read for features that look back.
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
    """Consecutive dates whose rows are built at once: a window or a part of it."""

    first: date
    last: date
    start: date | None = None
    """First date that has data: no earlier date is read."""

    def own_dates(self) -> list[date]:
        """Return the dates of the rows."""
        return _from_to(self.first, self.last)

    def dates(self, before: int = 0) -> list[date]:
        """Return the dates of a raw table that is read from `before` days before the first row, in order."""
        first = self.first - before * DAY
        return _from_to(first if self.start is None else max(first, self.start), self.last)


@dataclass(frozen=True)
class Window:
    """The dates of one partition. Raises WindowError if the splits do not fit."""

    partition: date
    days: int = 90
    """Days of rows, including the partition's own."""
    val_days: int = 14
    test_days: int = 7
    """Last days of the window, on which the model is judged. A single day would be too noisy."""
    start: date | None = None
    """First date that has data; a window that would begin earlier is shortened."""
    longest: int | None = None
    """Longest window, in days; None if there is no limit."""

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
        """Return the dates of a raw table, see Span.dates."""
        return self.span.dates(before)

    def splits(self) -> dict[str, tuple[date, date]]:
        """Return the first and last date of train, val and test, which are consecutive and cover the window."""
        test = self.partition - (self.test_days - 1) * DAY
        val = test - self.val_days * DAY
        return {
            "train": (self.first, val - DAY),
            "val": (val, test - DAY),
            "test": (test, self.partition),
        }
