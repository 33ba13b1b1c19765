"""Numbers in a table that names a benchmark's result stand in that result, rounded as the page rounds them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.docs.pages import ROOT, pages

MARK = re.compile(r"<!-- measured: (\S+) -->\n((?:\|.*\n)+)")
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
TABLES = [(page, *found) for page in pages() for found in MARK.findall(page.read_text(encoding="utf-8"))]


def values(data: Any) -> Iterator[float]:
    if isinstance(data, dict | list):
        for item in data.values() if isinstance(data, dict) else data:
            yield from values(item)
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield float(data)


@pytest.mark.parametrize(("page", "result", "table"), TABLES, ids=lambda part: getattr(part, "name", None))
def test_measured_numbers_stand_in_the_result(page: Any, result: str, table: str) -> None:
    known = list(values(json.loads((ROOT / result).read_text(encoding="utf-8"))))
    strange = []
    for row in table.splitlines()[2:]:
        for cell in row.strip("|").split("|")[1:]:
            for text in NUMBER.findall(cell):
                digits = len(text.partition(".")[2])
                if not any(round(value, digits) == float(text.replace(",", "")) for value in known):
                    strange.append(text)
    assert strange == [], f"{page.name}: not in {result}; after a new measurement, write its numbers into the page"
