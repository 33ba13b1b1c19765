"""Airflow's own forms: signing in, and the trigger dialog."""

from __future__ import annotations

from typing import Any

from tests.support.pages_airflow import Airflow


def sign_in(page: Any, url: str, user: str, password: str) -> None:
    """Open a session by the login form."""
    page.goto(f"{url}/auth/login")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "/auth/" not in address)


def opened_form(page: Any, airflow: Airflow, dag_id: str) -> Any:
    """The dialog that starts a run of `dag_id` by hand, drawn and ready."""
    page.goto(f"{airflow.url}/dags/{dag_id}")
    page.get_by_role("button", name="Trigger Dag").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[name=element_epochs]").wait_for()
    return dialog
