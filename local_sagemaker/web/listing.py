"""Paginated lists, newest first, with links to adjacent pages."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from urllib.parse import parse_qs

from local_sagemaker.web.markup import Markup, tag

SIZE = 50


@dataclass(frozen=True)
class Place:
    """Where a page starts: below or above a row's `seq`, or at the newest row."""

    before: int | None = None
    after: int | None = None

    @classmethod
    def of(cls, query: str) -> Place:
        """Parse a query string; ignores values that are not numbers."""
        given = parse_qs(query)
        numbers = [given.get(name, [""])[0] for name in ("before", "after")]
        return cls(*(int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None for text in numbers))


@dataclass(frozen=True)
class Page:
    """The rows of one page, and whether there are newer and older ones."""

    rows: list[sqlite3.Row]
    newer: bool
    older: bool

    def links(self, path: str) -> Markup | None:
        """Links to the newest, the newer and the older page; None if there is only one page."""
        ways = []
        if self.newer:
            ways.append(tag("a", "Newest", href=path))
            if self.rows:
                ways.append(tag("a", "Newer", href=f"{path}?after={self.rows[0]['seq']}", rel="prev"))
        if self.older:
            ways.append(tag("a", "Older", href=f"{path}?before={self.rows[-1]['seq']}", rel="next"))
        return tag("nav", ways, aria_label="Pages") if ways else None


def read(connection: sqlite3.Connection, select: str, seq: str, place: Place) -> Page:
    """Read one page of `select`, ordered by the increasing column `seq`."""
    if place.before is None and place.after is not None:
        sql = f"{select} WHERE {seq} > ? ORDER BY {seq} LIMIT ?"
        rows = connection.execute(sql, (place.after, SIZE + 1)).fetchall()
        if len(rows) > SIZE:
            return Page(rows[:SIZE][::-1], newer=True, older=True)
        place = Place()  # fewer newer rows than a page: show the newest page
    sql = f"{select} WHERE {seq} < ? ORDER BY {seq} DESC LIMIT ?"
    rows = connection.execute(sql, (2**62 if place.before is None else place.before, SIZE + 1)).fetchall()
    return Page(rows[:SIZE], newer=place.before is not None, older=len(rows) > SIZE)
