"""The live executions of a pipeline, with as few calls as possible.

ListPipelineExecutions has no filter by status, so finding live executions means reading the list back to the age of
SageMaker's longest job: one call per hundred executions. Executions that have ended do not change, so each search
stores a mark on the worker's disk, and the next one reads back to the mark only. RetryPipelineExecution can restart an
older execution, so a mark expires after ten minutes, and the whole list is read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sagemaker.cache_folder import cache_folder

if TYPE_CHECKING:
    from airflow_sagemaker.aws.executions import Execution, Executions

LONGEST_EXECUTION = timedelta(days=28)
"""Longest training job of SageMaker: no older execution can be live."""
GOOD_FOR = timedelta(minutes=10)
OVERLAP = timedelta(seconds=30)
"""Executions that are newer than the newest listed one by less than this may be missing in the list."""


def live_executions(executions: Executions, pipeline: str) -> list[Execution]:
    """Return all executions of a pipeline that are Executing or Stopping, newest first."""
    mark = _Mark(executions, pipeline)
    since = mark.read()
    listed = list(executions.listed(pipeline, created_after=since)) if since else []
    if mark.newest not in {execution.arn for execution in listed}:
        # No mark, or one of another account's pipeline with the same name.
        mark.whole_at, begin = datetime.now(UTC), datetime.now(UTC) - LONGEST_EXECUTION
        listed = list(executions.listed(pipeline, created_after=begin))
    mark.write(listed)
    return [execution for execution in listed if execution.live]


class _Mark:
    """A small file per target and pipeline; if it is missing, stale or unreadable, the whole list is read."""

    def __init__(self, executions: Executions, pipeline: str) -> None:
        target = executions.aws.target
        endpoint = executions.aws.client("sagemaker").meta.endpoint_url
        name = hashlib.sha256(json.dumps([target.key(), endpoint, pipeline]).encode()).hexdigest()[:32]
        self.file = cache_folder() / "live-executions" / f"{name}.json"
        self.whole_at = datetime.now(UTC)
        self.newest = ""
        """The newest execution of the last search; it must be in a list that is read back to the mark."""

    def read(self) -> datetime | None:
        try:
            stored = json.loads(self.file.read_text())
            since, whole_at = (datetime.fromisoformat(stored[key]) for key in ("since", "whole_at"))
            if since.tzinfo is None or not timedelta() <= self.whole_at - whole_at < GOOD_FOR:
                return None
            newest = str(stored["newest"])
        except (OSError, ValueError, KeyError, TypeError):  # TypeError: also a moment without a time zone
            return None
        self.whole_at, self.newest = whole_at, newest
        return since

    def write(self, listed: list[Execution]) -> None:
        """Store that everything created before the oldest live execution, or before the newest of all, has ended."""
        seen = [(e.started_at, e.live, e.arn) for e in listed if e.started_at is not None]
        if not seen:
            return
        moment, _, newest = max(seen)
        oldest_live = (moment - timedelta(seconds=1) for moment, live, _ in seen if live)
        since = min([moment - OVERLAP, *oldest_live])
        text = json.dumps({"since": since.isoformat(), "whole_at": self.whole_at.isoformat(), "newest": newest})
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            descriptor, scratch = tempfile.mkstemp(dir=self.file.parent)
            with os.fdopen(descriptor, "w") as out:
                out.write(text)
            Path(scratch).replace(self.file)
        except OSError:
            return  # a full or read-only disk only costs a longer listing
