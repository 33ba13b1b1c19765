"""The trigger form of the shipped DAG, as Airflow draws it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.form import opened_form
from tests.support.pages_airflow import Airflow

pytestmark = pytest.mark.browser


def test_the_form_offers_types_ranges_and_help(page: Any, airflow: Airflow) -> None:
    form = opened_form(page, airflow, "flight_delay_training")
    text = form.inner_text()
    for wanted in (
        "Instance type",
        "Learning rate of the optimizer",
        "From 0.000001 to 1.",
        "From 16 to 65,536;",
        "Days of flights",
    ):
        assert wanted in text
    form.get_by_role("combobox").first.click()
    assert "ml.g5.12xlarge" in page.get_by_role("listbox").inner_text().split()


@pytest.mark.parametrize(
    ("name", "wrong", "kept"),
    [("epochs", "500", "200"), pytest.param("window_days", "1", "28", marks=pytest.mark.slow)],
)
def test_a_number_outside_its_range_never_leaves_the_form(
    page: Any, airflow: Airflow, name: str, wrong: str, kept: str
) -> None:
    field = opened_form(page, airflow, "flight_delay_training").locator(f"input[name=element_{name}]")
    field.fill(wrong)
    field.press("Tab")
    assert field.input_value() == kept
