"""The data of the history, from Airflow's database.

Airflow's REST API returns XCom values one by one: a year of partitions would take 365 requests of up to 64 KB each. So
this module, and no other, reads Airflow's tables: two statements for any number of runs, which extract a few values of
each outcome in the database. Airflow's models are not a public interface; tests use the real ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import aliased

from airflow_sagemaker.contract import XCom, higher_is_better
from airflow_sagemaker.promote.metric_watch import find_change, find_outliers
from airflow_sagemaker.types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

OUTCOME_KEYS = (XCom.RETURN_VALUE.value, XCom.OUTCOME.value)
MOST_RUNS = 2000
MARKS = {"Approved": "promoted", "Rejected": "rejected", "PendingManualApproval": "pending"}


def training_dags(session: Session, readable: set[str]) -> list[JsonObject]:
    """Return the DAGs among `readable` that have started trainings, the latest first."""
    latest = func.max(XComModel.timestamp)
    rows = session.execute(
        select(XComModel.dag_id, func.count(func.distinct(XComModel.dag_run_id)), latest)
        .where(XComModel.key == XCom.STARTED.value)
        .group_by(XComModel.dag_id)
        .order_by(latest.desc())
    )
    return [{"dag_id": dag_id, "runs": runs} for dag_id, runs, _ in rows if dag_id in readable]


def partition_runs(session: Session, dag_id: str, *, limit: int, before: str | None = None) -> list[JsonObject]:
    """Return the newest runs of a DAG with the outcomes of their trainings; with `before`, only of earlier partitions.

    `before` is the id of a run. Partitions are compared as strings (dates YYYY-MM-DD sort by time); runs without a
    partition, by their logical time.
    """
    runs = session.execute(_runs_statement(session, dag_id, limit=min(limit, MOST_RUNS), before=before)).all()
    outcomes = _outcomes_of(session, [run.id for run in runs])
    unread = _add_referred_to(session, outcomes, [run.id for run in runs if run.id not in outcomes])
    promotions = _promotions_of(session, [run.id for run in runs])
    return [
        {
            "run_id": run.run_id,
            "partition": run.partition_key or _iso_day(run.logical_date or run.run_after),
            "state": str(getattr(run.state, "value", run.state)),
            "run_type": str(getattr(run.run_type, "value", run.run_type)),
            "start": _iso_time(run.start_date),
            "end": _iso_time(run.end_date),
            "trainings": outcomes[run.id],
            "promotions": promotions[run.id],
            "unread": unread.get(run.id, ""),
        }
        for run in runs
    ]


def watch_metric(runs: Sequence[JsonMapping], training: str, metric: str) -> JsonObject:
    """Return lasting changes for the worse of a training's metric in `partition_runs`, and single unusual partitions.

    If a partition has several runs, the newest counts, as on the page. `training` is the task's name, with the index of
    a mapped one: `wait [3]`; empty selects the first of each run.
    """
    newest: dict[str, JsonMapping] = {}
    for run in runs:
        newest.setdefault(run["partition"], run)
    partitions = sorted(newest)
    values = [_value_of(newest[name]["trainings"], training, metric) for name in partitions]
    change = find_change(values, higher_is_better=higher_is_better(metric))
    found = None
    if change is not None:
        found = {**asdict(change), "partition": partitions[change.index]}
    return {"change": found, "outliers": [partitions[index] for index in find_outliers(values)]}


def _value_of(trainings: Sequence[JsonMapping], training: str, metric: str) -> float | None:
    for one in trainings:
        name = f"{one['task_id']} [{one['map_index']}]" if one["map_index"] >= 0 else one["task_id"]
        if training in ("", name):
            value = one["metrics"].get(metric)
            return None if value is None else float(value)
    return None


def _runs_statement(session: Session, dag_id: str, *, limit: int, before: str | None) -> Select[Any]:
    statement = select(
        DagRun.id,
        DagRun.run_id,
        DagRun.partition_key,
        DagRun.logical_date,
        DagRun.run_after,
        DagRun.state,
        DagRun.run_type,
        DagRun.start_date,
        DagRun.end_date,
    ).where(DagRun.dag_id == dag_id)
    newest_first = statement.order_by(DagRun.run_after.desc(), DagRun.id.desc()).limit(limit)
    if before is None:
        return newest_first
    key = (DagRun.partition_key, DagRun.run_after)
    found = session.execute(select(*key).where(DagRun.dag_id == dag_id, DagRun.run_id == before)).one_or_none()
    if found is None:
        return statement.where(DagRun.id < 0)
    if found.partition_key is None:
        return newest_first.where(DagRun.run_after < found.run_after)
    earlier = statement.where(DagRun.partition_key < found.partition_key)
    return earlier.order_by(DagRun.partition_key.desc(), DagRun.id.desc()).limit(limit)


def _outcomes_of(session: Session, run_ids: list[int]) -> dict[int, list[JsonObject]]:
    """Return the results of each run's finished trainings: the XComs that look like an Outcome."""
    value = XComModel.value
    statement = select(
        XComModel.dag_run_id,
        XComModel.task_id,
        XComModel.map_index,
        value["status"].as_string().label("status"),
        value["digest"].as_string().label("digest"),
        value["metrics"].label("last"),
        value[("report", "metrics")].label("kept"),
        value["billable_seconds"].as_float().label("billable_seconds"),
        value["findings"].label("findings"),
    ).where(
        XComModel.dag_run_id.in_(run_ids),
        XComModel.key.in_(OUTCOME_KEYS),
        value["execution_arn"].as_string().is_not(None),
    )
    found: dict[int, list[JsonObject]] = defaultdict(list)
    for row in session.execute(statement.order_by(XComModel.task_id, XComModel.map_index)):
        metrics = row.kept if isinstance(row.kept, dict) and row.kept else row.last
        found[row.dag_run_id].append(
            {
                "task_id": row.task_id,
                "map_index": row.map_index,
                "status": row.status,
                "digest": row.digest,
                "metrics": _kept_metrics(metrics),
                "billable_seconds": row.billable_seconds,
                "findings": row.findings or [],
            }
        )
    return found


def _promotions_of(session: Session, run_ids: list[int]) -> dict[int, list[JsonObject]]:
    """Return the decisions of each run's promotions: package, status, reason, metric, value and previous champion."""
    value = XComModel.value
    texts = ("package_arn", "package_url", "status", "reason", "metric", "champion_arn")
    statement = select(
        XComModel.dag_run_id,
        *(value[name].as_string().label(name) for name in texts),
        value["value"].as_float().label("number"),
    ).where(
        XComModel.dag_run_id.in_(run_ids),
        XComModel.key == XCom.PROMOTION.value,
        value["package_arn"].as_string().is_not(None),
    )
    found: dict[int, list[JsonObject]] = defaultdict(list)
    for row in session.execute(statement.order_by(XComModel.task_id, XComModel.map_index)):
        decided = {name: getattr(row, name) for name in texts}
        found[row.dag_run_id].append({**decided, "value": row.number})
    _mark(one for promotions in found.values() for one in promotions)
    return found


def _mark(promotions: Iterable[JsonObject]) -> None:
    """Mark each as champion, promoted, rejected or pending.

    The champion is the approved one with the highest version in its group, according to the promotions: later manual
    decisions are visible only in SageMaker.
    """
    champions: dict[str, JsonObject] = {}
    for one in promotions:
        one["mark"] = MARKS.get(one["status"], one["status"])
        group = one["package_arn"].rpartition("/")[0]
        known = champions.get(group)
        if one["mark"] == "promoted" and (known is None or _version(one) >= _version(known)):
            champions[group] = one
    for one in champions.values():
        one["mark"] = "champion"


def _version(promotion: JsonMapping) -> int:
    number = promotion["package_arn"].rpartition("/")[2]
    return int(number) if number.isdigit() else 0


def _add_referred_to(session: Session, outcomes: dict[int, list[JsonObject]], run_ids: list[int]) -> dict[int, str]:
    """Add outcomes that an XCom backend (`[core] xcom_backend`) keeps outside the database to `outcomes`.

    Returns, by run, why one could not be read. Only tasks that have pushed the link to an execution are considered,
    because strings that other tasks return are not references to outcomes.
    """
    linked = aliased(XComModel)
    same_task = (
        linked.dag_run_id == XComModel.dag_run_id,
        linked.task_id == XComModel.task_id,
        linked.map_index == XComModel.map_index,
        linked.key == XCom.EXECUTION_LINK.value,
    )
    statement = select(XComModel.dag_run_id, XComModel.task_id, XComModel.map_index, XComModel.value).where(
        XComModel.dag_run_id.in_(run_ids), XComModel.key.in_(OUTCOME_KEYS), exists().where(*same_task)
    )
    unread: dict[int, str] = {}
    for row in session.execute(statement.order_by(XComModel.task_id, XComModel.map_index)):
        if not isinstance(row.value, str) or row.value.startswith("arn:"):
            continue
        found = _resolve_reference(row.value)
        if isinstance(found, dict) and "execution_arn" in found:
            metrics = (found.get("report") or {}).get("metrics") or found.get("metrics")
            figures = {key: found.get(key) for key in ("status", "digest", "billable_seconds")}
            figures["findings"] = found.get("findings") or []
            task = {"task_id": row.task_id, "map_index": row.map_index}
            outcomes[row.dag_run_id].append({**task, **figures, "metrics": _kept_metrics(metrics)})
        elif not isinstance(found, dict):
            unread[row.dag_run_id] = str(found)
    return unread


def _resolve_reference(reference: str) -> object:
    """Return the XCom backend's value of a reference, or a string that says why it cannot be read."""
    from airflow.sdk.execution_time.xcom import XCom as Backend

    name = f"{Backend.__module__}.{Backend.__qualname__}"
    try:
        found = Backend.deserialize_value(SimpleNamespace(value=reference))
    except Exception as error:
        return f"XCom backend {name} could not read {reference}: {error}"
    return f"XCom backend {name} of the api-server cannot resolve {reference}" if isinstance(found, str) else found


def _kept_metrics(metrics: object) -> dict[str, float]:
    """Return the metrics of the epoch that was kept; without a report, those that the job printed last."""
    pairs = metrics.items() if isinstance(metrics, dict) else ()
    return {str(name): value for name, value in pairs if isinstance(value, int | float)}


def _iso_day(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d") if moment else ""


def _iso_time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
