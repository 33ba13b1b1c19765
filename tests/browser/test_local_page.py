"""How the local SageMaker's own page lays out what it has to show; no Airflow is needed for it."""

from __future__ import annotations

from typing import Any

import pytest

from local_sagemaker.web import curves
from local_sagemaker.web.layout import frame
from local_sagemaker.web.markup import pairs, table

pytestmark = pytest.mark.browser
FACTS = {
    "HyperparameterCheckpointMinutes": "s3://my-bucket/a-long-path/" * 4,
    "Description": "word " * 60,
    "checkpoint_minutes": "5.0",
    "full_field_list": '["departure_minute", ' * 40,
}
STEPS = [["Preprocess", "Processing", "Succeeded", "2026-11-29 11:45:35", "1", "metrics and log", "a reason " * 30]]
LINES_OF_WORDS = """
[...document.querySelectorAll('td')].filter((cell) => /^\\w+$/.test(cell.textContent)).map((cell) => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return [cell.textContent, new Set([...range.getClientRects()].map((line) => Math.round(line.bottom))).size];
})
"""


@pytest.mark.parametrize("width", [390, 1400])
def test_no_word_is_broken_to_make_room_for_a_long_value(chromium: Any, width: int) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 800})
    page.set_content(frame("job", pairs(FACTS), table([""] * len(STEPS[0]), STEPS)))
    lines = dict(page.evaluate(LINES_OF_WORDS))
    assert lines == dict.fromkeys((*FACTS, "Preprocess", "Processing", "Succeeded", "1"), 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('td b').closest('td').nextSibling.offsetWidth") >= 300
    page.close()


@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_has_a_name_and_its_curves_have_axes(chromium: Any, width: int) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 800})
    page.set_content(
        frame("job", curves.draw({"Train Loss": [0.625, 0.5, 0.25], "Flat": [1.0], "Nothing": [float("nan")]}))
    )
    assert "Local SageMaker" in page.locator("nav").inner_text()
    axes = page.locator("svg").first.locator("text").all_text_contents()
    assert axes == ["0.625", "0.25", "1", "value number", "3"]
    assert page.locator("svg").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
