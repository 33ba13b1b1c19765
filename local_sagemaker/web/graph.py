"""The step graph as SVG: one column per depth, boxes in the color of their status."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter

from local_sagemaker.definition import Definition
from local_sagemaker.web.markup import Markup, tag

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 170, 44, 60, 18


def depths(definition: Definition) -> dict[str, int]:
    """The length of the longest path to each step."""
    before = {name: step.follows for name, step in definition.steps.items()}
    found: dict[str, int] = {}
    for name in TopologicalSorter(before).static_order():
        found[name] = 1 + max((found[other] for other in before[name]), default=-1)
    return {name: found[name] for name in definition.steps}


def draw(definition: Definition, states: Mapping[str, str]) -> Markup:
    """The graph; a step that has not started is grey."""
    columns: dict[int, list[str]] = {}
    for name, depth in depths(definition).items():
        columns.setdefault(depth, []).append(name)
    places = {
        name: (column * (_WIDTH + _GAP_X) + 2, row * (_HEIGHT + _GAP_Y) + 2)
        for column, names in columns.items()
        for row, name in enumerate(names)
    }
    width = max(x for x, _ in places.values()) + _WIDTH + 4
    height = max(y for _, y in places.values()) + _HEIGHT + 4
    shapes = [edge for name in places for edge in _edges(name, definition, places)]
    shapes += [_box(name, definition.steps[name].type, places[name], states.get(name)) for name in places]
    return tag("svg", shapes, viewBox=f"0 0 {width} {height}", width=width, height=height, role="img",
               aria_label="Step graph")  # fmt: skip


def _edges(name: str, definition: Definition, places: Mapping[str, tuple[int, int]]) -> list[Markup]:
    step = definition.steps[name]
    x, y = places[name]
    edges = []
    for other in sorted(step.follows):
        x0, y0 = places[other]
        start, end = (x0 + _WIDTH, y0 + _HEIGHT / 2), (x, y + _HEIGHT / 2)
        middle = (start[0] + end[0]) / 2
        way = f"M{start[0]} {start[1]}C{middle} {start[1]} {middle} {end[1]} {end[0]} {end[1]}"
        edges.append(tag("path", d=way, class_="edge"))
    return edges


def _box(name: str, kind: str, place: tuple[int, int], state: str | None) -> Markup:
    x, y = place
    shown = name if len(name) <= 20 else f"{name[:19]}…"
    return tag(
        "g",
        tag("title", f"{name}: {state or 'not started'}"),
        tag("rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=6, class_="box"),
        tag("text", shown, x=x + 10, y=y + 19),
        tag("text", f"{kind} · {state or 'not started'}", x=x + 10, y=y + 36),
        class_=f"status {state or ''}",
    )
