"""The operator's own settings: numbers, timedeltas, texts, and what templates give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import jinja2
import pendulum
import pytest
from airflow.sdk import DAG, CronPartitionTimetable
from airflow.sdk.execution_time import macros

from airflow_sagemaker import SageMakerTrainingPipelineOperator, SageMakerTrainingPipelineSensor
from airflow_sagemaker.exceptions import ConfigurationError
from airflow_sagemaker.operators import RUN_PARTITION
from airflow_sagemaker.start.task_settings import SETTINGS, check_count, check_rendered, check_seconds


@pytest.mark.parametrize(
    ("given", "found"), [(30, 30.0), (1, 1.0), ("2.5", 2.5), (timedelta(minutes=2), 120.0), ("{{ x }}", "{{ x }}")]
)
def test_seconds_are_a_number_a_timedelta_or_text(given: Any, found: Any) -> None:
    assert check_seconds("poll_interval", given) == found


@pytest.mark.parametrize("given", [None, "soon", -1, True, float("nan"), float("inf"), [], "", timedelta(seconds=-1)])
def test_what_is_no_number_of_seconds_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"poll_interval = .*: must be a number of seconds"):
        check_seconds("poll_interval", given)


@pytest.mark.parametrize("given", [0, -1, "many", 1.5, True])
def test_a_count_is_a_whole_number(given: Any) -> None:
    with pytest.raises(ValueError, match="must be a whole number"):
        check_count("max_concurrent_executions", given)


def operator(**settings: Any) -> SageMakerTrainingPipelineOperator:
    return SageMakerTrainingPipelineOperator(task_id="start", config={}, **settings)


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_may_be_a_template(name: str) -> None:
    task = operator(**{name: "{{ params.it }}"})
    assert name in task.template_fields
    with pytest.raises(ConfigurationError, match=rf"{name} = .*still contains a template"):
        check_rendered(task, SETTINGS)


def test_what_templates_give_is_looked_at_all_together() -> None:
    task = operator(poll_interval="{{ a }}", on_busy="{{ b }}", max_concurrent_executions="{{ c }}", max_wait="{{ d }}")
    task.poll_interval, task.on_busy, task.max_concurrent_executions, task.max_wait = "None", "perhaps", "3", "60"
    with pytest.raises(ConfigurationError) as refused:
        check_rendered(task, SETTINGS)
    assert [violation.field for violation in refused.value.violations] == ["poll_interval", "on_busy"]
    assert (task.max_concurrent_executions, task.max_wait) == (3, 60.0)


@pytest.mark.parametrize(
    ("given", "waits", "deferrable"),
    [({}, False, True), ({"wait_for_completion": True}, True, True), ({"deferrable": False}, False, False)],
)
def test_default_deferrable_is_honoured_where_the_task_waits(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], waits: bool, deferrable: bool
) -> None:
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    task = operator(**given)
    assert (task.wait_for_completion, task.deferrable) == (waits, deferrable)


def test_a_sensors_patience_may_be_a_timedelta() -> None:
    sensor = SageMakerTrainingPipelineSensor(task_id="wait", execution_arn="x", patience=timedelta(minutes=5))
    assert sensor.patience == 300.0


def rendered(schedule: Any, run: dict[str, Any], **dag: Any) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
    environment.filters["ds"] = lambda moment: moment.strftime("%Y-%m-%d")
    dag_run = SimpleNamespace(**{"partition_key": None, "logical_date": None, "run_after": None, **run})
    return environment.from_string(RUN_PARTITION).render(
        dag=DAG("d", schedule=schedule, **dag), dag_run=dag_run, macros=macros
    )


FOUR_IN_TAIPEI = datetime(2026, 6, 9, 20, tzinfo=UTC)
"""04:00 on 10 June there."""


@pytest.mark.parametrize("zone", ["Asia/Taipei", pendulum.timezone("Asia/Taipei")])
def test_today_is_the_timetables(zone: Any) -> None:
    table = CronPartitionTimetable("0 0 * * *", timezone=zone, key_format="%Y-%m-%d")
    assert rendered(table, {"run_after": FOUR_IN_TAIPEI}) == "2026-06-10"
    assert rendered(table, {"run_after": FOUR_IN_TAIPEI, "partition_key": "2026-01-01"}) == "2026-01-01"


def test_today_is_the_dags_where_the_timetable_has_no_zone() -> None:
    assert rendered(None, {"run_after": FOUR_IN_TAIPEI}) == "2026-06-09"
    begun = pendulum.datetime(2026, 1, 1, tz="Asia/Taipei")
    assert rendered(timedelta(days=1), {"logical_date": FOUR_IN_TAIPEI}, start_date=begun) == "2026-06-10"
    assert rendered("@daily", {"logical_date": FOUR_IN_TAIPEI}, start_date=begun) == "2026-06-10"
