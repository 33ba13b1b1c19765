"""The example with deadlines and notifiers is a DAG on every Airflow that is supported."""

from __future__ import annotations

import runpy
from datetime import timedelta
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "dags" / "customers_watched.py"


def test_a_late_partition_and_an_unusual_metric_have_a_notifier() -> None:
    pytest.importorskip("airflow.providers.smtp")
    dag = runpy.run_path(str(EXAMPLE))["dag"]
    alerts = dag.deadline if isinstance(dag.deadline, list) else [dag.deadline]
    assert [(alert.interval, alert.callback.path.rpartition(".")[2]) for alert in alerts] == [
        (timedelta(hours=4), "SmtpNotifier")
    ]
    wait = dag.get_task("wait_for_training")
    assert [type(one).__name__ for one in wait.notifiers] == ["SmtpNotifier"]
    assert [(one.metric, one.min_value) for one in wait.thresholds] == [("Validation AUC ROC", 0.6)]
