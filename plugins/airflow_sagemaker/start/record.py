"""The record of one execution: what a task run is about to start, written before the start.

It is in Airflow's task state store, survives retries, deferrals and clears of the task instance, and never expires.
Three values matter:

* `token` is sent as ClientRequestToken and, shortened, in the display name: a repeated start returns the same
  execution, and a start whose reply was lost can be found.
* `clear_epoch` distinguishes a retry from a clear. It is Airflow's `max_tries`, which clearing *this* task sets to
  `try_number + retries` (airflow.models.taskinstance.clear_task_instances). A retry does not change it, and neither
  does clearing another task, although that increases the run's clear_number.
* `generation` counts the executions that this task run has started, one after another.

The rest is the request itself. A repeated start keeps token and display name even if the request has changed or the
task was cleared, so that a dead worker's request that is still in transit never becomes a second execution.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sagemaker.aws.executions import execution_id
from airflow_sagemaker.aws.owner import owner_text
from airflow_sagemaker.exceptions import ConfigurationError, RecordUnreadable, Violation

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from airflow_sagemaker.airflow_compat import TaskStateStore
    from airflow_sagemaker.aws.executions import Execution
    from airflow_sagemaker.types import JsonObject

KEY = "training_execution"
"""Key in the task state store. Renaming it would lose executions that are running during an upgrade."""

SCHEMA = 2
"""Version of the stored record; it increases when an older reader would misunderstand it."""

STORED_NAMES = {"clear_epoch": "max_tries"}
"""Fields that are stored under another name, so that earlier and later versions can read each other's records."""

DISPLAY_NAME_LIMIT = 82
TOKEN_IN_NAME = 20
EARLIER_LIMIT = 100


@dataclass(frozen=True)
class TaskRun:
    """A task instance, independent of its try."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int

    @classmethod
    def of(cls, ti: RuntimeTaskInstanceProtocol) -> TaskRun:
        """Return the task run of Airflow's runtime task instance."""
        map_index = ti.map_index if ti.map_index is not None else -1
        return cls(ti.dag_id, ti.run_id, ti.task_id, map_index)

    def run_key(self, clear_epoch: int, unseen_clears: int = 0) -> str:
        """16 characters that are the same for all tries and generations, and change when this task is cleared."""
        identity = [self.dag_id, self.run_id, self.task_id, self.map_index, clear_epoch]
        text = json.dumps([*identity, unseen_clears] if unseen_clears else identity)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def owner_text(self, partition: str, clear_epoch: int, unseen_clears: int = 0) -> str:
        """Return the description of its executions, which says that they belong to it."""
        who = dataclasses.asdict(self)
        return owner_text(**who, partition=partition, clear_epoch=clear_epoch, unseen_clears=unseen_clears)


@dataclass(frozen=True)
class Clears:
    """What Airflow knows about the clears of a task run; compared with the record, it shows whether it was cleared
    since.

    Clearing a task sets its `max_tries` to `try_number + retries`. If the task's `retries` were changed, that may be
    the same number as before; then a higher `clear_number` of the run counts as a clear.
    """

    max_tries: int
    retries: int | None = None
    clear_number: int | None = None
    """Of the DAG run: increases when any of its tasks is cleared."""

    def unseen(self, record: ExecutionRecord | None) -> int:
        """Return how many consecutive clears did not change `max_tries`, including the one since the record."""
        if record is None or record.clear_epoch != self.max_tries:
            return 0
        known = None not in {record.retries, record.clear_number, self.retries, self.clear_number}
        hidden = known and record.retries != self.retries and (self.clear_number or 0) > (record.clear_number or 0)
        return record.unseen_clears + int(hidden)


@dataclass(frozen=True)
class ExecutionRecord:
    """What a task run starts or has started."""

    token: str
    clear_epoch: int
    """Changes when this task is cleared, and only then."""
    generation: int
    arn: str | None
    pipeline_name: str
    display_name: str
    digest: str
    parameters: dict[str, str] = field(default_factory=dict)
    partition: str = ""
    created_at: str = ""
    retried: int = 0
    """How many times RetryPipelineExecution was called on `arn` (on_failure="resume")."""
    revised: bool = False
    """Whether several requests had this token, so that only SageMaker knows which one runs."""
    refused: bool = False
    """Whether SageMaker has rejected the request, so that it cannot be in transit."""
    earlier: tuple[str, ...] = ()
    """Display names of this task run's earlier requests, by which `orphans` recognises them."""
    retries: int | None = None
    """The task's, when the record was written."""
    clear_number: int | None = None
    """The DAG run's, when the record was written."""
    unseen_clears: int = 0
    """Clears that did not change `clear_epoch` (see `Clears`)."""

    @property
    def created(self) -> datetime:
        """When the record was written, by the worker's clock."""
        return datetime.fromisoformat(self.created_at)

    def asked_for(self, execution: Execution) -> bool:
        """Whether this task run requested the execution: no other task run has the token in its display name."""
        return self.is_current(execution) or execution.display_name in self.earlier

    def is_current(self, execution: Execution) -> bool:
        """Whether this task run requested the execution last."""
        same = self.arn is not None and execution.id == execution_id(self.arn)
        return same or execution.display_name == self.display_name

    def with_arn(self, arn: str) -> ExecutionRecord:
        """Return the record after the response to the start call."""
        return dataclasses.replace(self, arn=arn)

    def asking(self, **request: Any) -> ExecutionRecord:
        """Return the record with the current request and the same token; `revised` if an earlier one differed."""
        unanswered = dataclasses.replace(self, refused=False)
        asked = dataclasses.replace(unanswered, **request)
        return dataclasses.replace(asked, revised=self.revised or asked != unanswered)

    def to_json(self) -> JsonObject:
        """Return the stored form, which is JSON: Airflow does not accept tuples."""
        values = dataclasses.asdict(self) | {"earlier": list(self.earlier)}
        return {"schema": SCHEMA, **{STORED_NAMES.get(name, name): value for name, value in values.items()}}

    @classmethod
    def from_json(cls, stored: object) -> ExecutionRecord | None:
        """Read the stored form; unknown keys are ignored. Raises RecordUnreadable if it is invalid or too new."""
        if stored is None:
            return None
        schema = stored.get("schema") if isinstance(stored, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise RecordUnreadable(
                f"the record of this task run's execution was written by a later version of airflow_sagemaker (schema "
                f"{schema}, this one reads {SCHEMA}); upgrade it on all workers"
            )
        try:
            if not isinstance(stored, dict):
                raise TypeError("it must be an object")
            values = {
                f.name: stored[key]
                for f in dataclasses.fields(cls)
                if (key := STORED_NAMES.get(f.name, f.name)) in stored
            }
            return cls(**{**values, "earlier": tuple(values.get("earlier", ()))})
        except (TypeError, ValueError) as error:
            raise RecordUnreadable(f"the record of this task run's execution cannot be read: {stored!r}") from error

    @classmethod
    def new(
        cls,
        *,
        clear_epoch: int,
        generation: int,
        pipeline_name: str,
        digest: str,
        parameters: dict[str, str],
        partition: str,
        after: ExecutionRecord | None = None,
        **clears: int | None,
    ) -> ExecutionRecord:
        """Return a record of an execution that is not started yet, `after` another one of the same task run."""
        token = uuid.uuid4().hex
        return cls(
            token=token,
            clear_epoch=clear_epoch,
            generation=generation,
            arn=None,
            pipeline_name=pipeline_name,
            display_name=display_name(partition, token),
            digest=digest,
            parameters=parameters,
            partition=partition,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            earlier=(*after.earlier, after.display_name)[-EARLIER_LIMIT:] if after else (),
            **clears,  # type: ignore[arg-type]
        )


class RecordStore(Protocol):
    """Stores the record of one task run, through retries, deferrals and clears.

    A store guarantees two things: after `save` has returned, any later `load`, in any process, returns this record; and
    if others may write to the store, a `save` is rejected unless this process has loaded the stored version (a fence),
    so that a worker that was considered dead cannot overwrite its successor's record.
    """

    def load(self) -> ExecutionRecord | None:
        """The record of the latest execution of this task instance, whatever its clear epoch."""

    def save(self, record: ExecutionRecord) -> None:
        """Store the record; return only when it is stored."""


class TaskStateRecordStore:
    """The record in Airflow's task state store, which rejects writes of tasks that are no longer running."""

    def __init__(self, store: TaskStateStore) -> None:
        self._store = store

    def load(self) -> ExecutionRecord | None:
        """The record of the latest execution of this task instance, whatever its clear epoch."""
        return ExecutionRecord.from_json(self._store.get(KEY))

    def save(self, record: ExecutionRecord) -> None:
        """Store the record; return only when it is stored."""
        from airflow.sdk.execution_time.context import NEVER_EXPIRE

        self._store.set(KEY, record.to_json(), retention=NEVER_EXPIRE)


def require_lasting_records() -> None:
    """Raise ConfigurationError if Airflow empties the task state store of successful tasks.

    A start task succeeds while its execution is running; without its record, a clear would start a second one.
    """
    from airflow.sdk.configuration import conf

    if conf.getboolean("state_store", "clear_on_success", fallback=False):
        rule = "deletes a start task's record while its execution runs, so that a clear would start a second one"
        hint = "set it to False, or let the operator wait itself (deferrable=True)"
        raise ConfigurationError([Violation("[state_store] clear_on_success", True, rule, hint)], what="airflow.cfg")


def display_name(partition: str, token: str) -> str:
    """Return `<partition>-<20 characters of the token>`: at most 82 characters that SageMaker allows."""
    short = token[:TOKEN_IN_NAME]
    slug = re.sub(r"[^A-Za-z0-9]+", "-", partition).strip("-")[: DISPLAY_NAME_LIMIT - len(short) - 1].strip("-")
    return f"{slug}-{short}" if slug else short
