"""The results of a range of partitions: done, failed, skipped, with each training's metrics.

One response of the partition history (`pages.history`) contains a year; only for failed runs, the failed task is
requested separately.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_sagemaker.contract import VALIDATION_AUC, VALIDATION_F1, VALIDATION_LOSS
from airflow_sagemaker.exceptions import ExecutionError
from airflow_sagemaker.types import JsonObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_sagemaker.cli.airflow_api import AirflowApi

MOST_RUNS = 2000
"""Maximum runs in one response of the history: more than five years of days."""
DONE, FAILED, SKIPPED, NO_RUN, UNREAD = "done", "failed", "skipped", "no run", "unread"
METRICS = {metric.short: metric.name for metric in (VALIDATION_AUC, VALIDATION_F1, VALIDATION_LOSS)}


@dataclass(frozen=True)
class PartitionResult:
    """The result of a partition's newest run."""

    partition: str
    state: str
    """done, failed, skipped, no run, unread (its figures are in an XCom backend that could not be read),
    or the state of a run that has not ended (queued, running)."""
    run_id: str = ""
    seconds: float | None = None
    """Seconds from the run's start to its end."""
    metrics: dict[str, float] = field(default_factory=dict)
    """auc, f1 and loss on the validation rows, of the epoch that was kept."""
    billable_seconds: float | None = None
    model: str = ""
    """State of its model: champion, promoted, rejected or pending, with the version in its group."""
    reason: str = ""
    """The tasks that failed, or what could not be read."""


def summarize_backfill(airflow: AirflowApi, dag_id: str, first: str | None, last: str | None) -> list[PartitionResult]:
    """Return the newest run of each partition of a DAG, sorted, from `first` to `last` (inclusive).

    `last` includes all keys that start with it: `2026-06-10` includes the hours of that day. If both are dates, dates
    without a run are in the list, too. Raises ExecutionError if Airflow cannot be reached.
    """
    rows = airflow.page_data(f"/data/history?dag_id={quote(dag_id, safe='')}&limit={MOST_RUNS}")
    if rows is None:
        raise ExecutionError(
            f"Airflow at {airflow.url} has no partition history: the plugin airflow_sagemaker is not loaded there"
        )
    newest: dict[str, JsonObject] = {}
    for row in rows:
        newest.setdefault(str(row["partition"]), row)
    keys = {key for key in newest if (first is None or key >= first) and (last is None or key[: len(last)] <= last)}
    idle = {day for day in _dates_between(first, last) if not any(key.startswith(day) for key in keys)}
    return [
        _partition_result(airflow, dag_id, newest[key]) if key in newest else PartitionResult(key, NO_RUN)
        for key in sorted(keys | idle)
    ]


def _dates_between(first: str | None, last: str | None) -> Iterator[str]:
    if first and last and all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) for text in (first, last)):
        day = date.fromisoformat(first)
        while day <= date.fromisoformat(last):
            yield str(day)
            day += timedelta(days=1)


def _partition_result(airflow: AirflowApi, dag_id: str, row: JsonObject) -> PartitionResult:
    trained = [training for training in row["trainings"] if training["status"] == "Succeeded"]
    unread = row.get("unread", "")
    succeeded = DONE if trained else UNREAD if unread else SKIPPED
    state = succeeded if row["state"] == "success" else str(row["state"])
    found = trained[-1] if trained else {"metrics": {}, "billable_seconds": None}
    return PartitionResult(
        partition=str(row["partition"]),
        state=state,
        run_id=row["run_id"],
        seconds=_run_seconds(row["start"], row["end"]),
        metrics={short: found["metrics"][name] for short, name in METRICS.items() if name in found["metrics"]},
        billable_seconds=found["billable_seconds"],
        model=", ".join(map(_model, row.get("promotions") or ())),
        reason=_failed_tasks(airflow, dag_id, row["run_id"]) if state == FAILED else unread if state == UNREAD else "",
    )


def _model(promotion: JsonObject) -> str:
    return f"{promotion['mark']} {'/'.join(promotion['package_arn'].split('/')[1:])}"


def _run_seconds(start: str | None, end: str | None) -> float | None:
    if not start or not end:
        return None
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 1)


def _failed_tasks(airflow: AirflowApi, dag_id: str, run_id: str) -> str:
    path = f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}/taskInstances?state=failed"
    found = airflow.get(path) or {"task_instances": []}
    return ", ".join(sorted({task["task_id"] for task in found["task_instances"]}))


def as_dict(results: Iterable[PartitionResult]) -> JsonObject:
    """Return JSON for the command line: the number of partitions by state, and each partition."""
    results = list(results)
    counts = Counter(result.state for result in results)
    return {"counts": dict(sorted(counts.items())), "partitions": [asdict(result) for result in results]}


def as_text(results: Iterable[PartitionResult]) -> str:
    """Return a table for people, with the counts as its last line."""
    results = list(results)
    width = 2 + max([len("partition"), *(len(result.partition) for result in results)])
    model = max([0, *(2 + len(result.model) for result in results if result.model)])
    header = f"{'partition':<{width}}{'state':<10}{'AUC':>8}{'F1':>8}{'loss':>8}{'run, s':>9}{'billed, s':>11}"
    lines = [f"{header}  {'model' if model else ''}".rstrip()]
    for result in results:
        numbers = "".join(f"{_formatted_number(result.metrics.get(name), 4):>8}" for name in METRICS)
        seconds = f"{_formatted_number(result.seconds, 0):>9}{_formatted_number(result.billable_seconds, 0):>11}"
        words = f"{result.model:<{model}}{result.reason}"
        lines.append(f"{result.partition:<{width}}{result.state:<10}{numbers}{seconds}  {words}".rstrip())
    counts = Counter(result.state for result in results)
    return "\n".join([*lines, ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no runs"])


def _formatted_number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
