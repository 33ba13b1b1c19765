"""Each row of exactly-once.md names tests that there are."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "exactly-once.md"
FILES = {
    "exactly_once": "tests/faults/airflow/test_exactly_once.py",
    "operator": "tests/faults/airflow/test_operator.py",
    "endings": "tests/faults/airflow/test_endings.py",
    "stops": "tests/faults/airflow/test_stops.py",
    "starts": "tests/faults/airflow/test_starts.py",
    "waiting": "tests/integration/airflow/test_waiting_through_faults.py",
    "orphans": "tests/integration/airflow/test_orphans.py",
    "stack": "tests/faults/airflow_stack/test_airflow_faults.py",
    "ways": "tests/faults/airflow_stack/test_airflow_ways.py",
}


def rows() -> list[tuple[str, str, str]]:
    """(what happens, file, test) for each test that a row names."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 4 and ":" in cells[3]:
            for part in cells[3].split(";"):
                file, _, names = part.strip().partition(": ")
                found += [(cells[0], file, name.strip()) for name in names.split(",")]
    return found


def test_every_row_has_a_test() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    without = [line for line in lines if line.startswith("| ") and line.count(" | ") == 2]
    assert without == []
    assert len(rows()) > 30


@pytest.mark.parametrize(("row", "file", "name"), rows())
def test_the_named_test_is_there(row: str, file: str, name: str) -> None:
    pattern = re.escape(name).replace(re.escape("..."), r"\w*")
    text = (ROOT / FILES[file]).read_text(encoding="utf-8")
    assert re.search(rf"def test_{pattern}\(", text), row
