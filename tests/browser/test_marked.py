"""A state that a person gave, a clear, and reports that are too large: the page says so instead of misleading."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from tests.browser.test_history import evaluate  # noqa: F401 - a fixture
from tests.browser.test_live import Training, training  # noqa: F401 - a fixture
from tests.browser.test_report import report
from tests.support.pages_airflow import Airflow

pytestmark = pytest.mark.browser
DAG = "pages_live"


def mark(airflow: Airflow, run_id: str, state: str, task: str = "wait") -> None:
    """As the button of Airflow's own page does."""
    airflow.client.call("PATCH", f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/{task}", json={"new_state": state})


def started(airflow: Airflow, arn: str) -> str:
    airflow.hold.touch()
    run_id = str(airflow.client.trigger(DAG, conf={"arn": arn})["dag_run_id"])

    def waits() -> bool:
        states = {task["task_id"]: task["state"] for task in airflow.client.task_instances(DAG, run_id)}
        return states.get("wait") in ("running", "deferred")

    airflow.processes.wait_until(waits, what="the waiting task", seconds=60)
    return run_id


@pytest.mark.slow
def test_marked_failed_while_it_trains_and_what_the_execution_did_since(
    page: Any,
    airflow: Airflow,
    local_sagemaker: Any,
    training: Training,  # noqa: F811
) -> None:
    run_id = started(airflow, training.arn)
    try:
        mark(airflow, run_id, "failed")
        frame = report(page, airflow, run_id, dag_id=DAG)
        card = frame.locator(".marked")
        card.wait_for()
        text = card.inner_text()
        assert "Marked failed by a person" in text
        assert "was marked failed by admin" in text
        assert "still running on SageMaker" in text
        assert "clear wait" in text
        assert frame.locator(".pill").inner_text() == "marked failed"
        assert "Its log contains no error" not in frame.locator("main").inner_text()

        training.stop.touch()
        client = local_sagemaker.client("sagemaker")
        arn = training.arn

        def ended() -> bool:
            return (
                client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] == "Succeeded"
            )

        airflow.processes.wait_until(ended, what="the execution", seconds=60)
        frame = report(page, airflow, run_id, dag_id=DAG)
        frame.locator(".marked").get_by_text("continued on SageMaker and succeeded").wait_for()
    finally:
        airflow.hold.unlink(missing_ok=True)


def test_marked_success_and_an_execution_that_is_gone(page: Any, airflow: Airflow) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/gone/execution/aaaaaaaaaaaa"
    run_id = started(airflow, arn)
    try:
        mark(airflow, run_id, "success")
        frame = report(page, airflow, run_id, dag_id=DAG)
        text = frame.locator(".marked").inner_text()
        assert "Marked success by a person" in text
        assert "no longer exists on SageMaker" in text
        assert "To train again, clear start_training" in text
    finally:
        airflow.hold.unlink(missing_ok=True)


@pytest.fixture
def run_script(evaluate: Any) -> Any:  # noqa: F811
    return evaluate


def test_a_clear_does_not_shorten_the_training(run_script: Any) -> None:
    run = {"dag_id": "d", "dag_run_id": "r", "state": "success", "start_date": "2026-01-01T00:00:00Z",
           "end_date": "2026-01-01T00:00:01.6Z"}  # fmt: skip
    outcome = {"status": "Succeeded", "steps": [{"name": "Train", "seconds": 420}]}
    start = {"task_id": "s", "map_index": -1}
    ended = {"outcome": outcome, "details": {}, "waits": [], "start": start}
    model = {"run": run, "tasks": [], "trainings": [], "links": {}, "training": ended}
    script = f"return m.header({json.dumps(model)}).textContent"
    text = run_script("report_view.js", script)
    assert "trained for 7 min 0 s; cleared since" in text
    assert "1.6 s" not in text


def test_a_huge_report_is_thinned_and_says_so(run_script: Any) -> None:
    script = """
    const history = Array.from({length: 100000}, (_, n) => ({epoch: n + 1, "Train Loss": 1 / (n + 1)}));
    const importance = Array.from({length: 50000}, (_, n) => ({feature: "f" + n, value: n}));
    const {report, left} = m.bounded({history, importance, best_epoch: 777, warnings: ["x".repeat(1e7)], schema: 1});
    return {rows: report.history.length, best: report.history.some((row) => row.epoch === 777),
            last: report.history.at(-1).epoch, importance: report.importance.length,
            warning: report.warnings[0].length, left};
    """
    found = run_script("limits.js", script)
    assert found["rows"] <= 1002
    assert (found["best"], found["last"], found["importance"]) == (True, 100_000, 500)
    assert found["warning"] == 2001
    assert any("of 100000 epochs" in text for text in found["left"])
    nested = "let value = 1; for (let n = 0; n < 5000; n += 1) value = [value];"
    deep = f"{nested} return JSON.stringify(m.bounded({{value}}).report)"
    assert len(run_script("limits.js", deep)) < 100


def test_a_regex_without_end_stops_in_its_worker(run_script: Any) -> None:
    line = "[Train] 2026-01-01T00:00:01.000Z " + "a" * 60 + "!"
    script = f"""
    const regex = /(a+)+$/;
    const bad = await m.curvesInWorker([{line!r}], [{{name: "x", regex}}]).catch((error) => error.message);
    const good = await m.curvesInWorker(["[Train] 2026-01-01T00:00:01.000Z x=1"], [{{name: "x", regex: /x=(\\d)/}}]);
    return [bad, good];
    """
    bad, good = run_script("limits.js", script)
    assert "simplify the regexes in metric_definitions" in bad
    assert good == [{"epoch": 1, "x": 1}]


@pytest.mark.parametrize(
    ("keys", "even"),
    [
        (["2026-01-01", "2026-01-02", "2026-01-09"], False),
        (["2026-01-01T00", "2026-01-01T01", "2026-01-01T02"], True),  # several on a day
        (["a", "b", "c"], True),
        (["2013-01-01", "2013-01-02", "2026-01-01"], True),  # most of the axis would be empty
    ],
)
def test_unevenly_spaced_partitions_are_drawn_so(run_script: Any, keys: list[str], even: bool) -> None:
    runs = [{"partition": key, "trainings": [], "state": "success"} for key in keys]
    places = run_script("history_model.js", f"return m.places(m.partitions({json.dumps(runs)}))")
    gaps = [after - before for before, after in pairwise(places)]
    assert gaps == ([1, 1] if even else [1, 7])
