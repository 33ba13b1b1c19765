"""Builds HTML from Python values; text is escaped unless it is `Markup`."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime


class Markup(str):
    """Text that is already HTML."""

    __slots__ = ()


_EMPTY = {"meta", "link", "br", "path", "line", "rect", "polyline"}


def text(value: object) -> Markup:
    """A value as HTML."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup("")
    if isinstance(value, (list, tuple)):
        return Markup("".join(text(item) for item in value))
    return Markup(html.escape(str(value)))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element. In attribute names, a trailing underscore is removed, and other underscores become hyphens."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{text(children)}</{name}>")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Markup:
    """A table."""
    header = tag("tr", [tag("th", item) for item in head])
    body = [tag("tr", [tag("td", item) for item in row]) for row in rows]
    return tag("div", tag("table", tag("thead", header), tag("tbody", body)), class_="wide")


def pairs(values: Mapping[str, object]) -> Markup:
    """A table of names and values; omits those without a value."""
    rows = [[tag("b", key), value] for key, value in values.items() if value not in (None, "")]
    return tag(
        "div", tag("table", tag("tbody", [tag("tr", [tag("td", c) for c in row]) for row in rows])), class_="wide"
    )


def status(word: str | None) -> Markup:
    """A status in its color."""
    return tag("span", word, class_=f"status {word or ''}")


def moment(seconds: float | None) -> str:
    """A time in UTC, from seconds since the epoch; empty for None."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if seconds is not None else ""


def duration(start: float | None, end: float | None) -> str:
    """A time span as text; empty if start or end is unknown."""
    if start is None or end is None:
        return ""
    seconds = max(end - start, 0)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
