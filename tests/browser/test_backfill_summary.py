"""`backfill-summary` over the year of partitions that the history's tests have in their Airflow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sagemaker.cli import backfill_summary as backfill
from airflow_sagemaker.cli import main
from tests.support.pages_airflow import PASSWORD, Airflow

pytestmark = pytest.mark.browser
FAILED = {"2013-03-09", "2013-07-20", "2013-11-02"}
NO_RUN = {"2013-04-01", "2013-04-02"}
UNREAD = {"2013-05-05"}
"""As seed.py makes them."""


def asked(airflow: Airflow, *options: str) -> list[str]:
    signed_in = ["--airflow-url", airflow.url, "--username", "admin", "--password", PASSWORD]
    return ["backfill-summary", "pages_year", *signed_in, *options]


def test_a_year_in_one_command(airflow: Airflow, capsys: pytest.CaptureFixture[str]) -> None:
    year = ["--from-date", "2013-01-01", "--to-date", "2013-12-31"]
    assert main(asked(airflow, *year, "--json")) == 4, "one result could not be read"
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"done": 359, "failed": len(FAILED), "no run": len(NO_RUN), "unread": len(UNREAD)}
    states = {row["partition"]: row["state"] for row in found["partitions"]}
    assert len(states) == 365
    assert {day for day, state in states.items() if state == "failed"} == FAILED
    assert {day for day, state in states.items() if state == "no run"} == NO_RUN
    assert {day for day, state in states.items() if state == "unread"} == UNREAD
    july = next(row for row in found["partitions"] if row["partition"] == "2013-07-04")
    assert set(july["metrics"]) == set(backfill.METRICS)
    assert 0.5 < july["metrics"]["auc"] < 1


def test_a_range_without_a_failure_is_a_success_and_a_table(
    airflow: Airflow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(airflow, "--from-date", "2013-07-01", "--to-date", "2013-07-03")) == 0
    head, *rows, counts = capsys.readouterr().out.splitlines()
    assert head.split()[:5] == ["partition", "state", "AUC", "F1", "loss"]
    assert [row.split()[:2] for row in rows] == [[f"2013-07-0{day}", "done"] for day in (1, 2, 3)]
    assert counts == "3 done"


def test_a_stranger_learns_nothing(airflow: Airflow, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["backfill-summary", "pages_year", "--airflow-url", airflow.url, "--username", "stranger"]
    assert main([*command, "--password", PASSWORD]) == 4
    assert "responded with 403" in capsys.readouterr().err
