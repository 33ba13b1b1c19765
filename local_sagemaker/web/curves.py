"""Metric curves as SVG, from the time series in a job's folder."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from local_sagemaker.job_files import open_file
from local_sagemaker.web.markup import Markup, tag

_WIDTH, _HEIGHT = 320, 150
_LEFT, _TOP, _BOTTOM = 56, 4, 128
"""The plot's left and bottom edges; the axes' labels are to the left and below."""
_MAX_POINTS = 400
_MAX_BYTES = 4 * 1024 * 1024


def read(folder: Path) -> dict[str, list[float]]:
    """The values of each metric in order, from at most the first 4 MB of the file."""
    try:
        with open_file(folder, folder / "metrics.jsonl") as stream:
            lines = stream.read(_MAX_BYTES).splitlines()
    except OSError:
        return {}
    found: dict[str, list[float]] = {}
    for line in lines:
        try:
            point = json.loads(line)
            found.setdefault(str(point["name"]), []).append(float(point["value"]))
        except (ValueError, TypeError, KeyError):
            continue  # an incomplete last line
    return found


def draw(series: dict[str, list[float]]) -> Markup:
    """One small chart per metric."""
    return tag("div", [_figure(name, values) for name, values in series.items()], class_="curves")


def _figure(name: str, values: Sequence[float]) -> Markup:
    finite = [value for value in values if math.isfinite(value)]
    caption = tag("figcaption", tag("b", name), f": {values[-1]:.6g} after {len(values)} values")
    if not finite:
        return tag("figure", caption)
    step = max(len(finite) // _MAX_POINTS, 1)
    points = finite[::step]
    low, high = min(points), max(points)
    span = (high - low) or 1.0
    width = max(len(points) - 1, 1)
    way = " ".join(
        f"{_LEFT + index / width * (_WIDTH - _LEFT - 4):.1f},{_TOP + (_BOTTOM - _TOP) * (1 - (value - low) / span):.1f}"
        for index, value in enumerate(points)
    )
    label = f"{name}: from {points[0]:.6g} to {points[-1]:.6g}, lowest {low:.6g}, highest {high:.6g}"
    line = tag("polyline", points=way, fill="none", stroke="currentColor", stroke_width=2)
    chart = tag("svg", tag("title", label), _axes(low, high, len(values)), line, viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
                width=_WIDTH, height=_HEIGHT, role="img", aria_label=label)  # fmt: skip
    return tag("figure", caption, chart)


def _axes(low: float, high: float, values: int) -> list[Markup]:
    """The two axes, labelled with the lowest and highest value and the first and last number."""

    def text(content: str, x: float, y: float, anchor: str) -> Markup:
        return tag("text", content, x=x, y=y, text_anchor=anchor, class_="axis")

    frame = tag("path", d=f"M{_LEFT} {_TOP}V{_BOTTOM}H{_WIDTH - 4}", class_="edge")
    ends = [(f"{high:.4g}", _TOP + 10), *([(f"{low:.4g}", _BOTTOM)] if high > low else [])]
    below = _HEIGHT - 3
    return [
        frame,
        *(text(content, _LEFT - 5, y, "end") for content, y in ends),
        text("1", _LEFT, below, "start"),
        text("value number", (_LEFT + _WIDTH) / 2, below, "middle"),
        text(str(values), _WIDTH - 4, below, "end"),
    ]
