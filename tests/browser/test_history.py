"""The partition history in a real browser, over a year of partitions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from airflow_sagemaker.pages import URL_PREFIX, assets
from tests.browser.dags import shapes
from tests.support.pages_airflow import Airflow

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
    # it shows the DAG with the newest run, which depends on the tests before this one
    assert history.locator("h1").inner_text() in ("pages_year", "pages_training", "pages_live")
    assert history.locator(".over").inner_text().lower() == "partition history"


def test_a_year_is_drawn_and_the_broken_partition_found(page: Any, airflow: Airflow) -> None:
    frame = chosen_year(page, airflow)
    assert frame.locator(".day").count() == 363
    assert frame.locator(".day.bad").count() == 3
    assert frame.locator("rect.none").count() == 2
    assert frame.locator("[data-break]").get_attribute("data-break") == shapes.BROKEN_FROM.isoformat()
    frame.locator(".chart[data-points]").first.wait_for()
    assert frame.locator(".chart").first.get_attribute("data-points") == "359"


def test_results_that_cannot_be_read_are_named(page: Any, airflow: Airflow) -> None:
    frame = chosen_year(page, airflow)
    notice = frame.locator(".unread")
    assert notice.get_by_role("heading").inner_text() == "The results of 1 partition could not be read"
    assert "cannot resolve s3://xcoms/scheduled__2013-05-05/return_value" in notice.inner_text()
    notice.get_by_role("button", name="2013-05-05").click()
    assert "cannot resolve s3://xcoms" in frame.locator(".details").inner_text()
    assert frame.locator('[data-partition="2013-05-05"]').get_attribute("aria-label") == "2013-05-05, unread"


def test_hover_tells_and_click_opens_the_report(page: Any, airflow: Airflow) -> None:
    frame = chosen_year(page, airflow)
    day = frame.locator('[data-partition="2013-07-04"]')
    day.hover()
    text = frame.locator(".details").inner_text()
    assert f"{shapes.report('2013-07-04')['metrics']['Validation AUC ROC']:.4f}" in text
    day.click()
    page.wait_for_url("**/dags/pages_year/runs/scheduled__2013-07-04/plugin/training_report")
    page.frame_locator("iframe").locator("h1", has_text="2013-07-04").wait_for()


def test_the_calendar_marks_what_became_of_each_model(page: Any, airflow: Airflow) -> None:
    frame = chosen_year(page, airflow)
    champion = (shapes.BROKEN_FROM - timedelta(days=1)).isoformat()
    label = "node => node.getAttribute('aria-label')"
    assert frame.locator(f'[data-partition="{champion}"]').evaluate(label) == f"{champion}, success, model champion"
    assert frame.locator(".calendar .model.champion").count() == 2  # its day, and the legend
    broken = shapes.BROKEN_FROM.isoformat()
    assert frame.locator(f'[data-partition="{broken}"]').evaluate(label).endswith("model rejected")
    frame.locator(f'[data-partition="{champion}"]').hover()
    number = date.fromisoformat(champion).timetuple().tm_yday
    link = frame.locator(".details").get_by_role("link", name=f"year/{number}")
    assert link.get_attribute("href") == f"https://example.com/ui/packages/year/{number}"


def test_the_keyboard_is_enough(page: Any, airflow: Airflow) -> None:
    frame = chosen_year(page, airflow)
    assert frame.locator('.day[tabindex="0"]').count() == 1
    frame.locator('.day[tabindex="0"]').focus()
    page.keyboard.press("Home")
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert "2013-01-09" in frame.locator(".details").inner_text()
    assert frame.locator('[data-partition="2013-01-09"]').get_attribute("aria-label").startswith("2013-01-09, success")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dags/pages_year/runs/scheduled__2013-01-09/plugin/training_report")


def test_colours_by_a_metric(page: Any, airflow: Airflow) -> None:
    frame = chosen_year(page, airflow)
    frame.get_by_label("Color by").select_option("Validation AUC ROC")
    share = "node => Number(node.style.getPropertyValue('--share'))"
    good = frame.locator('[data-partition="2013-04-20"]').evaluate(share)
    bad = frame.locator('[data-partition="2013-09-20"]').evaluate(share)
    assert good > 0.5 > bad


def test_few_partitions_years_apart_are_drawn_as_large_as_many(page: Any, airflow: Airflow) -> None:
    partitions = ("2013-07-02", "2026-01-05")
    runs = [
        airflow.client.trigger("pages_training", partition=one, conf={"epochs": 1})["dag_run_id"] for one in partitions
    ]
    states = lambda: {airflow.client.run("pages_training", run)["state"] for run in runs}  # noqa: E731
    airflow.processes.wait_until(lambda: states() == {"success"}, what="the two trainings", seconds=60)
    page.goto(f"{airflow.url}{URL_PREFIX}/history?dag_id=pages_training&tab=dag")
    page.locator("#page[data-ready]").wait_for()
    days = page.locator(", ".join(f'.day[data-partition="{one}"]' for one in partitions))
    early, late = (days.nth(number).bounding_box() for number in (0, 1))
    assert 10 < early["width"] < 30
    assert late["y"] > early["y"] + 5 * early["height"]  # a row of its own
    assert page.get_by_role("heading", name="Too few partitions to detect a change").count() == 1


def test_more_runs_than_a_page_holds_are_turned_to(page: Any, airflow: Airflow) -> None:
    page.goto(f"{airflow.url}{URL_PREFIX}/history?dag_id=pages_year&limit=100")
    page.locator("#page[data-ready] .day").first.wait_for()
    assert page.get_by_text("100 runs on this page").count() == 1
    page.get_by_role("link", name="Earlier partitions").click()
    page.get_by_role("link", name="Newest partitions").wait_for()
    assert "2013-06-15 to 2013-09-22" in page.locator("header").inner_text()


@pytest.fixture(scope="module")
def evaluate(chromium: Any, session_state: dict[str, Any], airflow: Airflow) -> Iterator[Any]:
    """`evaluate(file, script)`: run a script with the module `m` of the pages' static files."""
    context = chromium.new_context(storage_state=session_state)
    tab = context.new_page()
    tab.goto(f"{airflow.url}{URL_PREFIX}/history?dag_id=pages_without_training")
    folder = f"{URL_PREFIX}/static/{assets.load_assets().digest}"
    yield lambda name, script: tab.evaluate(f"async () => {{ const m = await import('{folder}/{name}'); {script} }}")
    context.close()


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


def test_a_step_whose_end_nobody_told_ends_with_the_task_that_waited(evaluate: Any) -> None:
    wait = {
        "task_id": "wait",
        "map_index": -1,
        "start_date": "2026-01-01T00:00:00Z",
        "end_date": "2026-01-01T00:01:00Z",
    }
    step = {"name": "Train", "status": "Executing", "started_at": "2026-01-01T00:00:10Z"}
    model = {"tasks": [wait], "steps": [step], "training": {"waits": []}}
    script = f"const model = {json.dumps(model)}; model.training.start = model.tasks[0];"
    rows = evaluate("timeline.js", f"{script} return m.timelineRows(model, Date.parse('2026-01-02T00:00:00Z'))")
    assert [row["to"] - row["from"] for row in rows] == [60_000, 50_000]


def test_curves_from_a_log_drop_what_a_new_triggerer_repeats(evaluate: Any) -> None:
    lines = [
        "[Train] 2026-01-01T00:00:01.000Z Train Loss: 0.5",
        "[Train] 2026-01-01T00:00:01.000Z Validation AUC ROC: nan",
        "Training with Train Loss: high hopes",
        "[Train earlier] 2026-01-01T00:00:01.000Z Train Loss: 0.5",
        "[Train] 2026-01-01T00:00:02.000Z Train Loss: 0.5",
        "[Train] 2026-01-01T00:00:03.000Z Kept epoch 1: Train Loss: 0.5",
        "Execution arn:x is Succeeded",
        "Train Loss: 0.4",
    ]
    fields = "[row.epoch, row['Train Loss'], String(row['Validation AUC ROC'])]"
    script = f"return m.curvesFromLog({lines!r}).map(row => {fields})"
    rows = evaluate("report_model.js", script)
    assert rows == [[1, 0.5, "NaN"], [2, 0.5, "undefined"]]


def test_curves_of_metrics_that_the_definition_names(evaluate: Any) -> None:
    given = [{"Name": "Validation Loss", "Regex": "val_loss=([0-9.]+)"}, {"Name": "Broken", "Regex": "(?P<x>"}]
    step = {"Name": "Train", "Arguments": {"AlgorithmSpecification": {"MetricDefinitions": given}}}
    lines = [
        "[Train] 2026-01-01T00:00:01.000Z epoch 1 val_loss=0.5 f1=0.2",
        "[Train] 2026-01-01T00:00:02.000Z epoch 2 val_loss=0.4 f1=0.3",
        "val_loss=0.1, says no job",
    ]
    script = f"return m.curvesFromLog({json.dumps(lines)}, m.metricsOf({json.dumps({'Steps': [step]})}))"
    assert evaluate("report_model.js", script) == [
        {"epoch": 1, "Validation Loss": 0.5},
        {"epoch": 2, "Validation Loss": 0.4},
    ]


def test_the_values_of_one_measure_share_a_chart(evaluate: Any) -> None:
    names = ["train_rmse", "Train Loss", "val_rmse", "Validation Loss", "gini", "Validation AUC ROC"]
    assert evaluate("format.js", f"return m.paired({json.dumps(names)})") == [
        ["Validation AUC ROC"],
        ["Validation Loss", "Train Loss"],
        ["gini"],
        ["train_rmse", "val_rmse"],
    ]


def test_a_run_that_trained_nothing_is_skipped_not_a_success(evaluate: Any) -> None:
    trained = [{"status": "Succeeded"}]
    runs = [
        {"partition": "2013-07-05", "state": "success", "trainings": []},
        {"partition": "2013-07-04", "state": "success", "trainings": trained},
        {"partition": "2013-07-03", "state": "failed", "trainings": []},
        {"partition": "2013-07-02", "state": "running", "trainings": []},
    ]
    script = f"return m.partitions({json.dumps(runs)}).map((one) => one.state)"
    assert evaluate("history_model.js", script) == ["running", "failed", "success", "skipped"]


@pytest.mark.parametrize(
    ("days", "rows"),
    [
        (["2013-07-04"], 1),
        (["2013-01-01", "2013-12-31"], 1),
        (["2025-11-20", "2026-11-19"], 1),  # a year that begins on any day
        (["2013-07-04", "2013-07-05", "2026-11-24"], 2),
        (["de", "fr", "2013-07-04|DE"], 0),  # keys that are no dates are listed below the calendar
    ],
)
def test_a_row_of_the_calendar_is_a_year(evaluate: Any, days: list[str], rows: int) -> None:
    script = f"return m.calendarRows({json.dumps(days)}.map((day) => ({{day: m.dayOf(day)}}))).length"
    assert evaluate("history_model.js", script) == rows


def test_the_champion_and_the_rejected_models_are_named(page: Any, airflow: Airflow) -> None:
    frame = chosen_year(page, airflow)
    models = frame.locator(".models")
    last_good = shapes.BROKEN_FROM - timedelta(days=1)
    number = last_good.timetuple().tm_yday
    assert f"In use: year/{number} of {last_good}." in models.inner_text()
    assert models.locator("tbody tr").count() == 100
    assert set(models.locator(".mark").all_inner_texts()) >= {"rejected"}
    frame.locator(f'[data-partition="{last_good}"]').hover()
    assert f"champion · year/{number}" in frame.locator(".details").inner_text()
