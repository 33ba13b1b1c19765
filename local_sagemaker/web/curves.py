"""Metric curves as SVG, from the time series that a job leaves beside its log."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from local_sagemaker.job_files import open_file
from local_sagemaker.web.markup import Markup, tag

_WIDTH, _HEIGHT = 320, 130
_MAX_POINTS = 400
_MAX_BYTES = 4 * 1024 * 1024


def read(folder: Path) -> dict[str, list[float]]:
    """The values of each metric in their order; at most the first 4 MB of the file."""
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
            continue  # a line that is just being written
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
        f"{index / width * (_WIDTH - 8) + 4:.1f},{(_HEIGHT - 8) * (1 - (value - low) / span) + 4:.1f}"
        for index, value in enumerate(points)
    )
    label = f"{name}: from {points[0]:.6g} to {points[-1]:.6g}, lowest {low:.6g}, highest {high:.6g}"
    line = tag("polyline", points=way, fill="none", stroke="currentColor", stroke_width=2)
    chart = tag("svg", tag("title", label), line, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", width=_WIDTH, height=_HEIGHT,
                role="img", aria_label=label)  # fmt: skip
    ends = tag("div", f"{low:.6g} to {high:.6g}", class_="none")
    return tag("figure", caption, chart, ends)
