"""The summary of a backfill from what the partition history answers; tests/browser asks a real one."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sagemaker.cli import main
from airflow_sagemaker.cli.backfill_summary import as_text, summarize_backfill
from tests.integration.airflow.test_orphans import airflow

HISTORY = "/sagemaker-training/data/history?dag_id=train&limit=2000"


def run(partition: str, **changes: Any) -> dict[str, Any]:
    training = {"status": "Succeeded", "metrics": {"Validation Loss": 0.5}, "billable_seconds": 60}
    known = {"partition": partition, "run_id": partition, "state": "success", "start": None, "end": None}
    return {**known, "trainings": [training], "unread": "", **changes}


def test_hours_belong_to_their_day() -> None:
    hours = [f"2026-06-{day:02}T{hour:02}:00:00" for day in (9, 10) for hour in range(24)]
    with airflow({HISTORY: [run(hour) for hour in reversed(hours)]}) as api:
        results = summarize_backfill(api, "train", "2026-06-09", "2026-06-10")
        assert [result.partition for result in results] == hours
        assert as_text(results).splitlines()[-1] == "48 done"
        wider = summarize_backfill(api, "train", "2026-06-08", "2026-06-10")
        assert [result.partition for result in wider if result.state == "no run"] == ["2026-06-08"]


def test_the_table_names_the_champion() -> None:
    group = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/customers"
    marks = {"2026-06-09": "promoted", "2026-06-10": "champion", "2026-06-11": "rejected"}
    runs = [
        run(day, promotions=[{"mark": mark, "package_arn": f"{group}/{version}"}])
        for version, (day, mark) in enumerate(marks.items(), 1)
    ]
    with airflow({HISTORY: runs}) as api:
        header, *rows, _ = as_text(summarize_backfill(api, "train", None, None)).splitlines()
    assert [row[header.index("model") :] for row in rows] == [
        "promoted customers/1", "champion customers/2", "rejected customers/3"
    ]  # fmt: skip


def test_long_keys_keep_the_columns_apart() -> None:
    with airflow({HISTORY: [run("2026-06-09T00:00:00+08:00|eu-central")]}) as api:
        header, row, _ = as_text(summarize_backfill(api, "train", None, None)).splitlines()
    assert row.index("done") == header.index("state")


def test_figures_that_could_not_be_read_are_neither_skipped_nor_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "XCom backend company.Backend could not read s3://xcoms/1: no such bucket"
    with airflow({HISTORY: [run("2026-06-09", trainings=[], unread=reason), run("2026-06-10")]}) as api:
        assert main(["backfill-summary", "train", "--airflow-url", api.url, "--token", "t"]) == 4
    shown = capsys.readouterr().out
    assert reason in shown
    assert "1 done, 1 unread" in shown
