"""The training report in a real browser: started by the form, followed while it trains, and read at its end."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser.dags import shapes
from tests.browser.form import opened_form
from tests.docs.pages import ROOT, blocks_of
from tests.support.pages_airflow import Airflow

pytestmark = pytest.mark.browser

DAG = "pages_training"
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"
EVIL_RUN = EVIL.replace("/", "")  # Airflow's own addresses cannot hold a slash


def report(page: Any, airflow: Airflow, run_id: str, *, dag_id: str = DAG, task: str = "") -> Any:
    """The tab's frame inside Airflow's own UI."""
    tab = f"/tasks/{task}/plugin/training_report_task" if task else "/plugin/training_report"
    page.goto(f"{airflow.url}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}{tab}")
    frame = page.frame_locator("iframe")
    frame.locator("#page[data-live]").wait_for()
    return frame


def numbers(frame: Any, caption: str) -> list[list[str]]:
    """The rows behind a chart, as a reader opens them."""
    rows = frame.locator(f"table:has(caption:text-is('{caption}')) tbody tr")
    return [
        row.split("\t")
        for row in rows.evaluate_all("rows => rows.map(r => [...r.cells].map(c => c.textContent).join('\\t'))")
    ]


def test_start_by_the_form_and_watch_the_training_to_its_end(page: Any, airflow: Airflow) -> None:
    dialog = opened_form(page, airflow, DAG)
    epochs = dialog.locator("input[name=element_epochs]")
    epochs.fill("99")
    epochs.press("Tab")
    assert epochs.input_value() == "40"  # the form itself keeps to the range
    epochs.fill("9")
    before = {run["dag_run_id"] for run in airflow.client.get(f"/dags/{DAG}/dagRuns")["dag_runs"]}
    airflow.hold.touch()
    dialog.get_by_role("button", name="Trigger", exact=True).click()

    def started() -> list[str]:
        runs = airflow.client.get(f"/dags/{DAG}/dagRuns")["dag_runs"]
        return [run["dag_run_id"] for run in runs if run["dag_run_id"] not in before]

    airflow.processes.wait_until(lambda: bool(started()), what="the run", seconds=30)
    [run_id] = started()
    frame = report(page, airflow, run_id)
    frame.get_by_text("from the task's log").wait_for()
    frame.locator('.chart[data-points="3"]').first.wait_for()
    assert frame.locator(".pill").inner_text() == "training"
    assert "executing" in frame.locator(".timeline .step").inner_text()
    airflow.hold.unlink()
    frame.locator("#page[data-live=false]").wait_for()
    frame.get_by_text("from the job's report").wait_for()
    assert frame.locator(".pill").inner_text() == "succeeded"
    partition = frame.locator("h1").inner_text().split()[1]
    wanted = [[str(row["epoch"]), f"{row['Validation AUC ROC']:.4f}"] for row in shapes.report(partition)["history"]]
    assert numbers(frame, "Validation AUC ROC") == wanted


def test_the_end_of_a_training_in_numbers(page: Any, airflow: Airflow) -> None:
    frame = report(page, airflow, "scheduled__2013-10-14", dag_id="pages_year", task="wait_for_training")
    kept, past = shapes.report("2013-10-14")["metrics"], shapes.report("2013-10-13")["metrics"]
    card = frame.locator(".figure", has_text="Validation Loss")
    assert f"{kept['Validation Loss']:.4f}" in card.inner_text()
    change = kept["Validation Loss"] - past["Validation Loss"]
    assert f"{abs(change):.4f}" in card.inner_text()
    assert card.locator("dd").first.get_attribute("class") == f"number {'better' if change < 0 else 'worse'}"
    text = frame.locator("main").inner_text()
    for expected in ("6 min 52 s", "0.81 USD", "New definition", "0.0007 was 0.001", "24,513 train", "epoch 10 of 12"):
        assert expected in text
    assert [cell.inner_text().split("\n")[0] for cell in frame.locator(".confusion b").all()] == [
        "512",
        "198",
        "94",
        "133",
    ]
    assert frame.locator(".calibration circle").count() == 7


def test_a_new_definition_shows_what_changed_in_it(page: Any, airflow: Airflow) -> None:
    frame = report(page, airflow, "scheduled__2013-10-14", dag_id="pages_year")
    frame.get_by_text("Changes in the definition: 2 places").click()
    table = frame.locator("table:has(caption:text-is('Changes in the definition'))")
    step, old, new = "Steps › Train › Arguments", *(shapes.definition(f"2013-10-{day}") for day in (13, 14))
    [was], [now] = ([one["Arguments"]["Source"] for one in each["Steps"]] for each in (old, new))
    assert [row.all_inner_texts() for row in (r.locator("td") for r in table.locator("tbody tr").all())] == [
        [f"{step} › Source", was, now],
        [f"{step} › InputDataConfig › extra › ChannelName", "absent", "extra"],
    ]


def test_the_same_definition_shows_no_differences(page: Any, airflow: Airflow) -> None:
    frame = report(page, airflow, "scheduled__2013-10-13", dag_id="pages_year")
    frame.get_by_text("the same as for 2013-10-12").wait_for()
    assert frame.get_by_text("Changes in the definition").count() == 0


def test_links_lead_through_airflow(page: Any, airflow: Airflow) -> None:
    frame = report(page, airflow, "scheduled__2013-07-05", dag_id="pages_year")
    frame.get_by_role("link", name="Before: 2013-07-04").click()
    page.wait_for_url("**/dags/pages_year/runs/scheduled__2013-07-04/plugin/training_report")
    frame.locator("h1", has_text="2013-07-04").wait_for()
    page.context.route("https://*.console.aws.amazon.com/**", lambda route: route.fulfill(body="the console"))
    with page.context.expect_page() as opened:
        frame.get_by_role("link", name="SageMaker console").click()
    opened.value.wait_for_url("https://us-east-1.console.aws.amazon.com/sagemaker/**")
    opened.value.close()
    frame.get_by_role("link", name="Task log").click()
    page.wait_for_url("**/runs/scheduled__2013-07-04/tasks/wait_for_training**")


@pytest.mark.slow
def test_the_page_follows_the_run_to_its_end_and_shows_failing_data_checks_at_once(page: Any, airflow: Airflow) -> None:
    airflow.hold.touch()
    run = airflow.client.trigger("pages_more", conf={"epochs": 2})
    frame = report(page, airflow, run["dag_run_id"], dag_id="pages_more")
    frame.get_by_text("from the job's report").wait_for()
    card = frame.locator(".card", has=frame.get_by_role("heading", name="Data checks"))
    card.get_by_text("2 checks fail.").wait_for()
    assert card.locator("tbody tr:visible").all_inner_texts() == [
        "drift (PSI)\tdistance\t0.3100\tat most 0.25",
        "ids in several splits\ttrain, val, such as 7\t3\t0",
    ]
    card.get_by_text("All measurements: 2 numbers").click()
    assert card.locator("tbody tr:visible").count() == 4
    publish = frame.locator(".timeline li", has_text="publish")
    publish.get_by_text("running").wait_for()
    assert frame.locator("#page").get_attribute("data-live") == "true"
    airflow.hold.unlink()
    frame.locator("#page[data-live=false]").wait_for()
    assert "success" in publish.inner_text()


def test_one_of_several_trainings_is_chosen(page: Any, airflow: Airflow) -> None:
    run = airflow.client.trigger("pages_mapped")
    frame = report(page, airflow, run["dag_run_id"], dag_id="pages_mapped")
    frame.locator("#page[data-live=false]").wait_for()
    assert "pipeline-0" in frame.locator("header").inner_text()
    frame.locator(".chooser select").select_option("start_training [2]")
    page.wait_for_url("**/tasks/start_training/mapped/2/plugin/training_report_task")
    frame.get_by_text("pipeline pipeline-2").wait_for()
    execution = frame.locator("dd", has_text=f"{shapes.execution_arn('2013-07-04')}2")
    execution.get_by_role("button", name="Copy").wait_for()
    assert frame.get_by_text("succeeded", exact=True).count() == 1


def test_the_report_that_the_documentation_shows_is_drawn(page: Any, airflow: Airflow) -> None:
    [block] = [one for one in blocks_of(ROOT / "docs/guides/pages.md") if one.language == "json"]
    run = airflow.client.trigger("pages_more", conf={"epochs": 1, "report": json.loads(block.text)})
    frame = report(page, airflow, run["dag_run_id"], dag_id="pages_more")
    frame.locator("#page[data-live=false] .confusion").wait_for()
    assert numbers(frame, "Validation Loss and Train Loss") == [["1", "0.6000", "0.6100"], ["2", "0.5900", "0.5800"]]
    text = frame.locator("main").inner_text()
    for expected in ("24,513 train (24.0 % positive)", "AUC ROC 0.7100", "precision is not what was asked for", "age"):
        assert expected in text
    assert "could not be displayed" not in text


def test_a_report_of_an_unexpected_shape_costs_no_more_than_its_part(page: Any, airflow: Airflow) -> None:
    odd = {"confusion_matrix": {"labels": None}, "warnings": "none"}
    run = airflow.client.trigger("pages_more", conf={"epochs": 1, "report": odd})
    frame = report(page, airflow, run["dag_run_id"], dag_id="pages_more")
    frame.get_by_role("heading", name='The section "evaluation" could not be displayed').wait_for()
    frame.locator(".chart[data-points]").first.wait_for()
    frame.get_by_role("heading", name="Definition and parameters").wait_for()


def test_what_comes_from_outside_stays_text(page: Any, airflow: Airflow) -> None:
    body = {
        "dag_run_id": EVIL_RUN,
        "logical_date": None,
        "partition_key": "2013-07-09",
        "conf": {"epochs": 1, "say": EVIL},
    }
    airflow.client.call("POST", f"/dags/{DAG}/dagRuns", json=body)
    frame = report(page, airflow, EVIL_RUN)
    frame.locator("#page[data-live=false]").wait_for()
    text = frame.locator("main").inner_text()
    assert EVIL_RUN in text
    assert f"pipeline {EVIL}" in text
    assert frame.locator("main script, main img").count() == 0


def test_a_failed_training_says_why(page: Any, airflow: Airflow) -> None:
    body = {"logical_date": None, "partition_key": "2013-07-08", "conf": {"epochs": 2, "fail": "no such channel <b>"}}
    run = airflow.client.call("POST", f"/dags/{DAG}/dagRuns", json=body)
    frame = report(page, airflow, run["dag_run_id"])
    frame.locator("#page[data-live=false]").wait_for()
    frame.get_by_role("heading", name="Why wait_for_training failed").wait_for()
    assert "RuntimeError: no such channel <b>" in frame.locator("pre").inner_text()
    assert len(numbers(frame, "Validation F1 Score")) == 2  # the epochs before it died are still drawn


def test_a_run_without_training_says_so_before_and_after_its_end(page: Any, airflow: Airflow) -> None:
    body = {"logical_date": None, "conf": {}}
    airflow.client.call("PATCH", "/dags/pages_without_training", json={"is_paused": True})  # so the run waits
    run = airflow.client.call("POST", "/dags/pages_without_training/dagRuns", json=body)
    frame = report(page, airflow, run["dag_run_id"], dag_id="pages_without_training")
    frame.get_by_role("heading", name="No training yet").wait_for()
    airflow.client.call("PATCH", "/dags/pages_without_training", json={"is_paused": False})
    frame.get_by_role("heading", name="No training here").wait_for()


class Fault:
    """Breaks the first request for an address; later ones get through."""

    def __init__(self, page: Any, address: str, kind: str) -> None:
        self.kind = kind
        self.broken: list[Any] = []
        page.route(re.compile(address), self._answer)
        page.clock.install()

    def _answer(self, route: Any) -> None:
        if self.broken:
            route.fallback()
            return
        self.broken.append(route)
        if self.kind == "lost":
            route.abort("connectionreset")
        elif self.kind != "no response":
            route.fulfill(status=int(self.kind), body="<html>a gateway</html>", content_type="text/html")


RUN = r"/dagRuns/scheduled__2013-10-14$"
RESULT = r"/wait_for_training/xcomEntries/return_value"
HISTORY = r"/sagemaker-training/data/history"
REPORT_OF_YEAR = "report?dag_id=pages_year&run_id=scheduled__2013-10-14"


@pytest.mark.parametrize(
    "kind", ["lost", "no response", *(pytest.param(n, marks=pytest.mark.slow) for n in ("401", "404", "502"))]
)
def test_the_page_recovers_when_the_run_could_not_be_read(page: Any, airflow: Airflow, kind: str) -> None:
    fault = Fault(page, RUN, kind)
    page.goto(f"{airflow.url}/sagemaker-training/{REPORT_OF_YEAR}", wait_until="load")
    if kind == "no response":
        page.clock.fast_forward(61_000)
    page.get_by_role("alert").wait_for()
    assert fault.broken
    page.clock.fast_forward(31_000)
    page.locator("#page[data-live=false]").wait_for()
    assert page.get_by_role("alert").count() == 0


@pytest.mark.parametrize(
    "address", [RESULT, *(pytest.param(one, marks=pytest.mark.slow) for one in (HISTORY, r"/wait_for_training/links"))]
)
def test_what_the_last_reading_missed_is_read_again(page: Any, airflow: Airflow, address: str) -> None:
    fault = Fault(page, address, "502")
    page.goto(f"{airflow.url}/sagemaker-training/{REPORT_OF_YEAR}")
    page.get_by_role("alert").wait_for()
    assert fault.broken
    assert "Some data of this run could not be read; trying again" in page.get_by_role("alert").inner_text()
    assert page.get_by_role("heading", name="Ended without a result").count() == 0
    assert page.locator("#page").get_attribute("data-live") == "true"
    page.clock.fast_forward(11_000)
    page.locator("#page[data-live=false]").wait_for()
    assert page.get_by_role("alert").count() == 0
    text = page.locator("main").inner_text()
    for expected in ("epoch 10 of 12", "New definition"):
        assert expected in text


def test_dark_follows_airflow_and_redraws_the_charts(page: Any, airflow: Airflow) -> None:
    frame = report(page, airflow, "scheduled__2013-07-04", dag_id="pages_year")
    frame.locator(".chart[data-points]").first.wait_for()
    ground = "() => getComputedStyle(document.body).backgroundColor"
    inner = page.frames[-1]
    page.evaluate(
        "document.documentElement.classList.replace('light', 'dark') || document.documentElement.classList.add('dark')"
    )
    inner.locator("html.dark").wait_for()
    dark = inner.evaluate(ground)
    assert inner.locator(".chart canvas").count() == 3
    page.evaluate("document.documentElement.classList.remove('dark')")
    inner.locator("html:not(.dark)").wait_for()
    assert inner.evaluate(ground) != dark


def test_on_narrow_screens_the_history_scrolls_down_only(page: Any, airflow: Airflow) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{airflow.url}/sagemaker-training/history?dag_id=pages_year")
    page.locator("#page:not([aria-busy]) h1").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_phone_opens_the_page_without_airflow_around_it(page: Any, airflow: Airflow) -> None:
    """Airflow's own layout is wider than a phone, and scrolls sideways."""
    page.set_viewport_size({"width": 360, "height": 740})
    frame = report(page, airflow, "scheduled__2013-07-04", dag_id="pages_year")
    with page.context.expect_page() as opened:
        frame.get_by_role("link", name="Full page").click()
    alone = opened.value
    alone.set_viewport_size({"width": 360, "height": 740})
    alone.locator("#page:not([aria-busy]) h1", has_text="2013-07-04").wait_for()
    assert alone.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [360, 360]
    assert alone.get_by_role("link", name="Full page").count() == 0
    alone.close()


def test_everything_drawn_has_a_name_for_a_screen_reader(page: Any, airflow: Airflow) -> None:
    page.goto(f"{airflow.url}/sagemaker-training/report?dag_id=pages_year&run_id=scheduled__2013-07-04")
    page.locator(".chart[data-points]").first.wait_for()
    assert page.locator("h1").count() == 1
    for drawn in page.locator("[role=img]").all():
        assert drawn.get_attribute("aria-label")
    assert page.locator("svg:not([role])").count() == 0
    assert page.get_by_label("Parameters of this execution").count() == 1
    assert page.locator("a:not([href])").count() == 0


def test_a_session_that_ended_is_said_plainly(page: Any, airflow: Airflow) -> None:
    page.goto(f"{airflow.url}/sagemaker-training/report?dag_id=pages_year&run_id=no-such-run")
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("alert").inner_text() == "This run no longer exists in Airflow."


def test_the_promotion_and_the_champion_that_it_met_are_shown(page: Any, airflow: Airflow) -> None:
    frame = report(page, airflow, "scheduled__2013-07-04", dag_id="pages_year")
    text = frame.locator(".promotion").inner_text()
    link = frame.locator(".promotion").get_by_role("link", name="year/185")
    assert link.get_attribute("href") == "https://example.com/ui/packages/year/185"
    assert "Approved" in text
    assert "year/184" in text
    assert "0.7000" in text
