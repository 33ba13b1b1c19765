"""The pictures of the documentation, taken from the running pages into docs/images/ when PICTURES is set:
`PICTURES=1 pytest tests/browser/test_pictures.py`. What they show is tested by the other files here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from airflow_server import Airflow
from form import opened_form

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
    ("name", "where", "height", "dark"),
    [
        ("training-report", REPORT, 1500, False),
        ("training-report-dark", REPORT, 1500, True),
        ("partition-history", HISTORY, 1120, False),
        ("partition-history-dark", HISTORY, 1120, True),
    ],
)
def test_pictures(page: Any, airflow: Airflow, folder: Path, name: str, where: str, height: int, dark: bool) -> None:
    page.set_viewport_size({"width": 1440, "height": height})
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.goto(f"{airflow.url}/{where}")
    if dark:
        page.evaluate("document.documentElement.classList.replace('light', 'dark')")
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
