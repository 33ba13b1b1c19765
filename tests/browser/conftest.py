"""One Airflow and one Chromium for all tests of this folder. Both end with it: an idle Airflow takes CPU time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.chromium import running_chromium
from tests.support.samples import connection_of

if TYPE_CHECKING:
    from tests.support.pages_airflow import Airflow


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """A running browser; the tests are skipped where there is none."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def airflow(chromium: Any, local_sagemaker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """A real Airflow with the test DAGs and a seeded year of partitions; any name is allowed for a run.

    Its api-server may read live figures from the local SageMaker.
    """
    from tests.support.pages_airflow import running_airflow

    settings = {
        "AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN": "^.+$",
        "AIRFLOW__AIRFLOW_SAGEMAKER__LIVE_FIGURES": "True",
        "AIRFLOW_CONN_AWS_DEFAULT": connection_of(local_sagemaker.env, local_sagemaker.endpoint_url, "no-bucket"),
    }
    with running_airflow(tmp_path_factory.mktemp("pages") / "home", **settings) as running:
        running.seed_year("pages_year")
        yield running


@pytest.fixture(scope="package")
def session_state(chromium: Any, airflow: Airflow) -> dict[str, Any]:
    """Cookies of a session that the admin opened by the login form."""
    from tests.browser.form import sign_in
    from tests.support.pages_airflow import PASSWORD

    context = chromium.new_context()
    page = context.new_page()
    sign_in(page, airflow.url, "admin", PASSWORD)
    state: dict[str, Any] = context.storage_state()
    context.close()
    return state


OF_AIRFLOW = {"script: signal is aborted without reason", "script: Event"}
"""What Airflow 3.2's own pages throw when one of them is left while it loads."""


@pytest.fixture(scope="package")
def signed_in(chromium: Any, session_state: dict[str, Any]) -> Iterator[Any]:
    """The context of all signed-in tabs: Airflow's own scripts are loaded and compiled once, not by each test."""
    context = chromium.new_context(storage_state=session_state, viewport={"width": 1500, "height": 1000})
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture
def page(signed_in: Any) -> Iterator[Any]:
    """A signed-in tab; the test fails when a script of the page did, or the policy blocked something."""
    tab = signed_in.new_page()
    faults: list[str] = []
    tab.on("pageerror", lambda error: faults.append(f"script: {error}"))
    tab.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    tab.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
    yield tab
    tab.evaluate("localStorage.clear()")  # Airflow keeps a colour mode there
    for opened in signed_in.pages:
        opened.close()
    signed_in.unroute_all()
    assert [fault for fault in faults if fault not in OF_AIRFLOW] == []
