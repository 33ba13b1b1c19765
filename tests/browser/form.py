"""Airflow's trigger dialog."""

from __future__ import annotations

from typing import Any

from airflow_server import Airflow


def opened_form(page: Any, airflow: Airflow, dag_id: str) -> Any:
    """The dialog that starts a run of `dag_id` by hand, drawn and ready."""
    page.goto(f"{airflow.url}/dags/{dag_id}")
    page.get_by_role("button", name="Trigger Dag").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[name=element_epochs]").wait_for()
    return dialog
