"""The pictures of the documentation, taken from the running pages into docs/images/ when PICTURES is set:
`PICTURES=1 pytest tests/browser/test_pictures.py`. What they show is tested by the other files here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from local_stack.demo import DAG_ID
from local_stack.settings import USERNAME, Home
from local_stack.stack import running_stack

from tests.browser.form import opened_form, sign_in
from tests.support.pages_airflow import Airflow

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not os.environ.get("PICTURES"), reason="set PICTURES=1 to take the documentation's pictures"),
]

ROOT = Path(__file__).resolve().parents[2]
REPORT = "dags/pages_year/runs/scheduled__2013-10-14/plugin/training_report"
HISTORY = "dags/pages_year/plugin/partition_history_dag"


@pytest.fixture
def folder() -> Path:
    """Where the documentation looks for them."""
    chosen = ROOT / "docs" / "images"
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


@pytest.mark.parametrize(
    ("name", "where", "height"),
    [("training-report", REPORT, 1500), ("partition-history", HISTORY, 1120)],
)
def test_pictures(page: Any, airflow: Airflow, folder: Path, name: str, where: str, height: int) -> None:
    page.set_viewport_size({"width": 1440, "height": height})
    page.goto(f"{airflow.url}/{where}")
    frame = page.frame_locator("iframe")
    frame.locator(".chart[data-points]").first.wait_for()
    frame.locator("#page:not([aria-busy])").wait_for()
    page.wait_for_load_state("networkidle")
    picture = folder / f"{name}.png"
    page.screenshot(path=picture, animations="disabled")
    assert picture.stat().st_size > 30_000  # an empty page is smaller


def test_a_picture_of_a_training_under_way(page: Any, airflow: Airflow, folder: Path) -> None:
    airflow.hold.touch()
    run = airflow.client.trigger("pages_training", partition="2013-07-04", conf={"epochs": 9})
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(f"{airflow.url}/dags/pages_training/runs/{run['dag_run_id']}/plugin/training_report")
    frame = page.frame_locator("iframe")
    frame.locator('.chart[data-points="3"]').first.wait_for()
    page.screenshot(path=folder / "training-report-live.png", animations="disabled")
    airflow.hold.unlink()
    frame.locator("#page[data-live=false]").wait_for()


def test_a_picture_of_the_trigger_form(page: Any, airflow: Airflow, folder: Path) -> None:
    page.set_viewport_size({"width": 1200, "height": 1150})
    dialog = opened_form(page, airflow, "flight_delay_training")
    page.wait_for_load_state("networkidle")
    dialog.screenshot(path=folder / "trigger-form.png", animations="disabled")


@pytest.mark.timeout(900)
def test_a_picture_of_a_run_of_the_shipped_dag(chromium: Any, folder: Path, tmp_path: Path) -> None:
    """What a newcomer sees first: a real training of `bin/airflow-local`, not the made-up one of the other pictures."""
    with running_stack(Home(tmp_path), schedules=False) as stack:
        client, wait = stack.airflow, stack.processes.wait_until
        wait(lambda: client.exists(f"/dags/{DAG_ID}"), what="the DAG", seconds=90)
        client.call("PATCH", f"/dags/{DAG_ID}", json={"is_paused": False})
        runs = []
        for partition in ("2013-07-03", "2013-07-04"):  # the second is compared with the first
            runs.append(client.trigger(DAG_ID, partition=partition)["dag_run_id"])
            wait(lambda: client.run(DAG_ID, runs[-1])["state"] == "success", what="the training", seconds=400)
        page = chromium.new_context(viewport={"width": 1440, "height": 1250}).new_page()
        sign_in(page, stack.url, USERNAME, stack.password)
        page.goto(f"{stack.url}/dags/{DAG_ID}/runs/{quote(runs[-1], safe='')}/plugin/training_report")
        frame = page.frame_locator("iframe")
        frame.locator(".chart[data-points]").first.wait_for()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / "run.png", animations="disabled")
        page.set_viewport_size({"width": 1440, "height": 700})
        page.goto(f"{stack.aws['AWS_ENDPOINT_URL']}/ui/jobs")
        page.locator("a[href*='/ui/jobs/training/']").first.click()
        page.get_by_role("heading", name="Metrics").evaluate("heading => heading.scrollIntoView()")
        page.screenshot(path=folder / "local-sagemaker.png", animations="disabled")
        page.context.close()
