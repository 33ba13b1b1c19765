"""Who may see the pages: Airflow's own rights, asked for every route, static files included."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from airflow_sagemaker.pages import URL_PREFIX, assets
from tests.browser.auth_manager import CLOSED, NARROW
from tests.support.pages_airflow import PASSWORD, Airflow

pytestmark = pytest.mark.browser

STATIC = f"/static/{assets.load_assets().digest}/report.js"
PAGES = ("/report?dag_id=pages_year&run_id=x", "/history", "/history?dag_id=pages_year")
LIVE = "/data/live?dag_id=pages_year&run_id=x&task_id=start_training"
DATA = ("/data/dags", "/data/history?dag_id=pages_year", "/data/watch?dag_id=pages_year&metric=m")


def answers(airflow: Airflow, path: str, user: str | None, *, accept: str = "*/*") -> httpx.Response:
    with httpx.Client(base_url=airflow.url, trust_env=False, timeout=60) as client:
        if user:
            login = client.post("/auth/token", json={"username": user, "password": PASSWORD})
            client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        return client.get(URL_PREFIX + path, headers={"Accept": accept})


@pytest.mark.parametrize("path", [*PAGES, *DATA, LIVE, STATIC, "/nothing-here"])
def test_without_a_session_nothing_is_served(airflow: Airflow, path: str) -> None:
    answer = answers(airflow, path, None)
    assert answer.status_code == (404 if path == "/nothing-here" else 401)


@pytest.mark.parametrize("path", [*PAGES, *DATA, LIVE])
def test_a_user_without_a_role_is_refused(airflow: Airflow, path: str) -> None:
    assert answers(airflow, path, "stranger").status_code == 403


CLOSED_PATHS = [
    "/report?dag_id={}&run_id=x",
    "/history?dag_id={}",
    "/data/history?dag_id={}",
    "/data/watch?metric=m&dag_id={}",
    "/data/history?dag_id=pages_year&dag_id={}",
    "/data/live?dag_id={}&run_id=x&task_id=start_training",
]


@pytest.mark.parametrize("path", CLOSED_PATHS)
def test_a_viewer_without_the_right_to_one_dag_is_refused_there_only(airflow: Airflow, path: str) -> None:
    user, dag_id = CLOSED
    assert answers(airflow, path.format(dag_id), user).status_code == 403
    assert answers(airflow, path.format(dag_id), "admin").status_code in (200, 404)
    assert answers(airflow, path.format("pages_year"), user).status_code in (200, 404)


def test_runs_and_log_lines_need_the_rights_to_runs_and_logs(airflow: Airflow) -> None:
    assert answers(airflow, "/history?dag_id=pages_year", NARROW).status_code == 200
    assert answers(airflow, "/data/history?dag_id=pages_year", NARROW).status_code == 403
    assert answers(airflow, LIVE, NARROW).status_code == 403


@pytest.mark.parametrize(
    ("user", "status", "said"), [("stranger", 403, "Airflow administrator"), (None, 401, "signed out")]
)
def test_a_browser_is_told_in_words_why_a_page_is_not_shown(
    airflow: Airflow, user: str | None, status: int, said: str
) -> None:
    answer = answers(airflow, PAGES[0], user, accept="text/html,*/*")
    assert answer.status_code == status
    assert said in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "pages_year" not in answer.text


def test_a_closed_dag_is_not_among_the_listed(airflow: Airflow) -> None:
    user, dag_id = CLOSED
    airflow.client.trigger(dag_id, partition="2013-07-01", conf={"epochs": 1})

    def listed(who: str) -> list[str]:
        return [row["dag_id"] for row in answers(airflow, "/data/dags", who).json()]

    airflow.processes.wait_until(lambda: dag_id in listed("admin"), what="the training's start", seconds=60)
    assert dag_id not in listed(user)
    assert "pages_year" in listed(user)


@pytest.mark.parametrize("path", [*PAGES, *DATA, STATIC])
def test_a_viewer_may_read(airflow: Airflow, path: str) -> None:
    assert answers(airflow, path, "reader").status_code == 200


@pytest.mark.parametrize("path", [*PAGES, *DATA, STATIC, "/nothing-here", "/docs", "/openapi.json"])
def test_every_answer_carries_the_policy(airflow: Airflow, path: str) -> None:
    answer = answers(airflow, path, "reader")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    if path in ("/docs", "/openapi.json"):
        assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/static/x/%2e%2e/app.py", "/static/x/..%2fapp.py", "/static/x/report.html"])
def test_only_the_listed_static_files_are_served(airflow: Airflow, path: str) -> None:
    assert answers(airflow, path, "reader").status_code == 404


def test_history_of_one_dag_holds_only_that_dag(airflow: Airflow) -> None:
    rows: list[dict[str, Any]] = answers(airflow, "/data/history?dag_id=~", "reader").json()
    assert rows == []
    twice = answers(airflow, "/data/history?dag_id=pages_year&dag_id=pages_without_training", "reader").json()
    assert all(not row["trainings"] for row in twice)  # guard and query read the same one of two


def test_history_gives_the_figures_of_each_run(airflow: Airflow) -> None:
    from tests.browser.dags import shapes

    rows = answers(airflow, "/data/history?dag_id=pages_year&limit=400", "reader").json()
    assert len(rows) == 363
    assert rows[0]["partition"] == "2013-12-31"
    [training] = rows[0]["trainings"]
    assert training["metrics"] == shapes.report("2013-12-31")["metrics"]
    assert training["billable_seconds"] == 412
    assert training["digest"] == shapes.digest("2013-12-31")


def test_earlier_partitions_come_before_the_asked_one(airflow: Airflow) -> None:
    path = "/data/history?dag_id=pages_year&before=scheduled__2013-04-03&limit=3"
    rows = answers(airflow, path, "reader").json()
    assert [row["partition"] for row in rows] == ["2013-03-31", "2013-03-30", "2013-03-29"]
    assert answers(airflow, "/data/history?dag_id=pages_year&before=no-such-run", "reader").json() == []
