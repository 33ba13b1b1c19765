"""The partition history in a real browser, over a year of partitions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import shapes
from airflow_server import Airflow

from airflow_sagemaker.pages import URL_PREFIX, assets

pytestmark = pytest.mark.browser


@pytest.fixture
def history(page: Any, airflow: Airflow) -> Any:
    """The page as the navigation opens it."""
    page.goto(airflow.url)
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Partition history").click()
    frame = page.frame_locator("iframe")
    frame.locator("#page[data-ready]").wait_for()
    return frame


def chosen_year(page: Any, airflow: Airflow) -> Any:
    page.goto(f"{airflow.url}/dags/pages_year/plugin/partition_history_dag")
    frame = page.frame_locator("iframe")
    frame.locator("#page[data-ready]").wait_for()
    return frame


def test_the_navigation_leads_to_it(history: Any) -> None:
    assert history.locator("h1").inner_text() in ("pages_year", "pages_training")
    assert history.locator(".over").inner_text().lower() == "partition history"


def test_a_year_is_drawn_and_the_broken_partition_found(page: Any, airflow: Airflow) -> None:
    frame = chosen_year(page, airflow)
    assert frame.locator(".day").count() == 363
    assert frame.locator(".day.bad").count() == 3
    assert frame.locator("rect.none").count() == 2
    assert frame.locator("[data-break]").get_attribute("data-break") == shapes.BROKEN_FROM.isoformat()
    frame.locator(".chart[data-points]").first.wait_for()
    assert frame.locator(".chart").first.get_attribute("data-points") == "360"


def test_hover_tells_and_click_opens_the_report(page: Any, airflow: Airflow) -> None:
    frame = chosen_year(page, airflow)
    day = frame.locator('[data-partition="2013-07-04"]')
    day.hover()
    text = frame.locator(".details").inner_text()
    assert f"{shapes.report('2013-07-04')['metrics']['Validation AUC ROC']:.4f}" in text
    day.click()
    page.wait_for_url("**/dags/pages_year/runs/scheduled__2013-07-04/plugin/training_report")
    page.frame_locator("iframe").locator("h1", has_text="2013-07-04").wait_for()


def test_the_keyboard_is_enough(page: Any, airflow: Airflow) -> None:
    frame = chosen_year(page, airflow)
    assert frame.locator('.day[tabindex="0"]').count() == 1
    frame.locator('.day[tabindex="0"]').focus()
    page.keyboard.press("Home")
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert "2013-01-09" in frame.locator(".details").inner_text()
    assert frame.locator('[data-partition="2013-01-09"]').get_attribute("aria-label") == "2013-01-09, success"
    page.keyboard.press("Enter")
    page.wait_for_url("**/dags/pages_year/runs/scheduled__2013-01-09/plugin/training_report")


def test_colours_by_a_metric(page: Any, airflow: Airflow) -> None:
    frame = chosen_year(page, airflow)
    frame.get_by_label("Colour by").select_option("Validation AUC ROC")
    share = "node => Number(node.style.getPropertyValue('--share'))"
    good = frame.locator('[data-partition="2013-04-20"]').evaluate(share)
    bad = frame.locator('[data-partition="2013-09-20"]').evaluate(share)
    assert good > 0.5 > bad


@pytest.fixture(scope="module")
def evaluate(chromium: Any, session_state: dict[str, Any], airflow: Airflow) -> Iterator[Any]:
    """`evaluate(file, script)`: run a script with the module `m` of the pages' static files."""
    context = chromium.new_context(storage_state=session_state)
    tab = context.new_page()
    tab.goto(f"{airflow.url}{URL_PREFIX}/history?dag_id=pages_without_training")
    folder = f"{URL_PREFIX}/static/{assets.load().digest}"
    yield lambda name, script: tab.evaluate(f"async () => {{ const m = await import('{folder}/{name}'); {script} }}")
    context.close()


@pytest.mark.parametrize(
    ("values", "index"),
    [
        ([0.71, 0.72] * 10 + [0.65, 0.66] * 10, 20),
        ([0.71, 0.72] * 10 + [0.5] + [0.71, 0.72] * 10, None),  # one bad day is no break
        ([0.71, 0.72] * 20, None),
        ([0.65, 0.66] * 10 + [0.71, 0.72] * 10, None),  # better is no break
        ([0.71, None] * 10 + [0.6, None] * 10, 20),
        ([0.70, 0.75] * 10 + [0.69, 0.74] * 10, None),  # no more than the usual spread
        ([0.71] * 3, None),
        ([], None),
    ],
)
def test_a_break_is_lasting_and_for_the_worse(evaluate: Any, values: list[Any], index: int | None) -> None:
    found = evaluate("history_model.js", f"return m.findBreak({json.dumps(values)})?.index ?? null")
    assert found == index


def test_steps_from_a_log_keep_their_first_time_and_their_last_state(evaluate: Any) -> None:
    lines = [
        {"text": "Step Train: Starting", "at": "T1"},
        {"text": "Step Train: Executing (job pipelines-x-Train)", "at": "T2"},
        {"text": "[Train] Step 3: of nothing", "at": "T3"},
        {"text": "Step Train: Succeeded after 12 s", "at": "T4"},
        {"text": "Step Check: Executing", "at": "T5"},
    ]
    train, check = evaluate("report_model.js", f"return m.stepsFromLog({json.dumps(lines)})")
    assert train == {"name": "Train", "type": "", "started_at": "T1", "status": "Succeeded", "seconds": 12}
    assert check["status"] == "Executing"


def test_curves_from_a_log_drop_what_a_new_triggerer_repeats(evaluate: Any) -> None:
    lines = [
        "[Train] 2026-01-01T00:00:01.000Z Train Loss: 0.5",
        "[Train] 2026-01-01T00:00:01.000Z Validation AUC ROC: nan",
        "Training with Train Loss: high hopes",
        "[Train earlier] 2026-01-01T00:00:01.000Z Train Loss: 0.5",
        "[Train] 2026-01-01T00:00:02.000Z Train Loss: 0.5",
        "Execution arn:x is Succeeded",
        "Train Loss: 0.4",
    ]
    fields = "[row.epoch, row['Train Loss'], String(row['Validation AUC ROC'])]"
    script = f"return m.curvesFromLog({lines!r}).map(row => {fields})"
    rows = evaluate("report_model.js", script)
    assert rows == [[1, 0.5, "NaN"], [2, 0.5, "undefined"]]
