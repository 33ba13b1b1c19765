"""Live figures of a training, read from AWS by the api-server: opt-in, for sensors with little progress output.

Without them, the report uses the waiting task's log, which contains metric lines only with progress="logs". With
`[airflow_sagemaker] live_figures = True`, the api-server itself reads from SageMaker and CloudWatch, with the start
task's connection. Concurrent readers of a training share the result.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.models.xcom import XComModel
from sqlalchemy import select

from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.executions import Executions
from airflow_sagemaker.contract import METRICS, ProgressLevel, XCom
from airflow_sagemaker.exceptions import ExecutionNotFound
from airflow_sagemaker.types import JsonObject
from airflow_sagemaker.wait.progress_report import ProgressReport

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SHARED_SECONDS = 5.0
"""Seconds for which a result is reused."""
MOST_TRAININGS = 100
"""Maximum trainings in an api-server process; the least recently used one is dropped first."""
PATIENCE_SECONDS = 5.0
_BEGINNING = datetime.fromtimestamp(0, UTC)
_FIGURE = re.compile("^Step |" + "|".join(metric.regex for metric in METRICS))


class LiveTraining:
    """Live figures of a running execution."""

    def __init__(self, arn: str, target: AwsTarget) -> None:
        self._arn = arn
        self._executions = Executions(Aws(target, patience=PATIENCE_SECONDS))
        self._report = ProgressReport(ProgressLevel.LOGS, since=_BEGINNING)
        self._lines: list[str] = []
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def lines(self) -> list[str]:
        """Return the lines about steps and metrics, as the waiting task would log them. Raises botocore's errors."""
        with self._lock:
            if time.monotonic() - self._read_at > SHARED_SECONDS:
                lines = self._report.new_lines(self._executions, self._arn)
                self._lines += [text for _, text in lines if _FIGURE.search(text)]
                self._read_at = time.monotonic()
            return list(self._lines)


class LiveTrainings:
    """The trainings of this process, by execution and connection."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], LiveTraining] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, arn: str, target: AwsTarget) -> LiveTraining:
        """Return a training; a new one is read from the beginning."""
        key = (arn, target.key())
        with self._lock:
            if key not in self._known:
                self._known[key] = LiveTraining(arn, target)
            self._known.move_to_end(key)
            while len(self._known) > MOST_TRAININGS:
                self._known.popitem(last=False)
            return self._known[key]


def started_by(session: Session, dag_id: str, run_id: str, task_id: str, map_index: int) -> JsonObject | None:
    """Return the start task's XCom: execution and connection are never taken from a request."""
    value = session.scalar(
        select(XComModel.value).where(
            XComModel.dag_id == dag_id,
            XComModel.run_id == run_id,
            XComModel.task_id == task_id,
            XComModel.map_index == map_index,
            XComModel.key == XCom.STARTED.value,
        )
    )
    return value if isinstance(value, dict) and value.get("execution_arn") else None


def execution_state(details: JsonObject) -> JsonObject:
    """Return the execution's status on AWS, or that it no longer exists. Raises botocore's errors."""
    executions = Executions(Aws(target_of(details), patience=PATIENCE_SECONDS))
    try:
        return {"status": executions.describe(details["execution_arn"]).status, "gone": False}
    except ExecutionNotFound:
        return {"status": None, "gone": True}


def target_of(details: JsonObject) -> AwsTarget:
    """Return the connection and region of the start task."""
    return AwsTarget(details.get("aws_conn_id"), details.get("region_name"))
