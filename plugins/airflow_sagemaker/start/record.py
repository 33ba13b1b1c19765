"""The record of one execution: what a task run is about to start, written before it starts it.

It lives in Airflow's task state store, which survives retries, deferrals and clears of the task instance and is never
garbage collected for this key. Three values decide everything:

* `token` goes out as ClientRequestToken and, shortened, in the display name: a repeated start gives the same execution,
  and a start whose reply was lost can be found.
* `clear_epoch` tells a retry from a clear. It is Airflow's `max_tries`: clearing *this* task sets that to
  `try_number + retries` (airflow.models.taskinstance.clear_task_instances), a retry leaves it alone, and clearing a
  neighbour does too, though that raises the run's clear_number.
* `generation` counts the executions that this task run was allowed to start one after the other.

The rest is the request itself. A start that is repeated keeps token and display name whatever the request has become
meanwhile, a clear included, so that the request of a dead worker that is still on its way can never become a second
execution.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.aws.executions import owner_text

if TYPE_CHECKING:
    from airflow_sagemaker.aws.executions import Execution

KEY = "training_execution"
"""Name in the task state store. Renaming it would lose the executions that are running during an upgrade."""

STORED_NAMES = {"clear_epoch": "max_tries"}
"""Fields that are stored under another name: what an earlier version wrote must be readable, and it ours."""

DISPLAY_NAME_LIMIT = 82
TOKEN_IN_NAME = 20
EARLIER_LIMIT = 100


@dataclass(frozen=True)
class TaskRun:
    """One task instance, whatever its try."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int

    @classmethod
    def of(cls, ti: Any) -> TaskRun:
        """Of Airflow's runtime task instance."""
        map_index = ti.map_index if ti.map_index is not None else -1
        return cls(ti.dag_id, ti.run_id, ti.task_id, map_index)

    def run_key(self, clear_epoch: int) -> str:
        """16 characters, the same for every try and generation, others after this task was cleared."""
        identity = json.dumps([self.dag_id, self.run_id, self.task_id, self.map_index, clear_epoch])
        return hashlib.sha256(identity.encode()).hexdigest()[:16]

    def owner_text(self, partition: str, clear_epoch: int) -> str:
        """What an execution's description says about whom it belongs to."""
        return owner_text(**dataclasses.asdict(self), partition=partition, clear_epoch=clear_epoch)


@dataclass(frozen=True)
class ExecutionRecord:
    """What this task run starts or has started."""

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
    """More than one request bore this token, so that which of them runs must be asked of SageMaker."""
    refused: bool = False
    """SageMaker has refused the request: nothing of it is on its way."""
    earlier: tuple[str, ...] = ()
    """Display names of this task run's requests before this one, for `orphans` to know them by."""

    @property
    def created(self) -> datetime:
        """When the record was written, by the worker's clock."""
        return datetime.fromisoformat(self.created_at)

    def asked_for(self, execution: Execution) -> bool:
        """Whether this task run asked for that execution: its display name holds a token that nobody else has."""
        return execution.arn == self.arn or execution.display_name in {self.display_name, *self.earlier}

    def with_arn(self, arn: str) -> ExecutionRecord:
        """The record after the start call has answered."""
        return dataclasses.replace(self, arn=arn)

    def asking(self, **request: Any) -> ExecutionRecord:
        """The record with today's request under the same token; `revised` when an earlier try asked for another."""
        unanswered = dataclasses.replace(self, refused=False)
        asked = dataclasses.replace(unanswered, **request)
        return dataclasses.replace(asked, revised=self.revised or asked != unanswered)

    def to_json(self) -> dict[str, Any]:
        """As stored: Airflow takes JSON only, which a tuple is not."""
        values = dataclasses.asdict(self) | {"earlier": list(self.earlier)}
        return {STORED_NAMES.get(name, name): value for name, value in values.items()}

    @classmethod
    def from_json(cls, stored: Any) -> ExecutionRecord | None:
        """As read; unknown keys of a later version are ignored, an unreadable record raises ValueError."""
        if stored is None:
            return None
        try:
            values = {
                f.name: stored[key]
                for f in dataclasses.fields(cls)
                if (key := STORED_NAMES.get(f.name, f.name)) in dict(stored)
            }
            return cls(**{**values, "earlier": tuple(values.get("earlier", ()))})
        except (TypeError, ValueError) as error:
            raise ValueError(f"the execution record in the task state store cannot be read: {stored!r}") from error

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
    ) -> ExecutionRecord:
        """A record of an execution that is not started yet, `after` another one of the same task run."""
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
        )


class RecordStore:
    """Reads and writes the record in `context["task_state_store"]`."""

    def __init__(self, context: Any) -> None:
        self._store = context["task_state_store"]

    def load(self) -> ExecutionRecord | None:
        """The record of the latest execution of this task instance, whatever its clear epoch."""
        return ExecutionRecord.from_json(self._store.get(KEY))

    def save(self, record: ExecutionRecord) -> None:
        """Write and return only when the store has it."""
        from airflow.sdk.execution_time.context import NEVER_EXPIRE

        self._store.set(KEY, record.to_json(), retention=NEVER_EXPIRE)


def display_name(partition: str, token: str) -> str:
    """`<partition>-<20 characters of the token>`, of the characters SageMaker allows, at most 82."""
    short = token[:TOKEN_IN_NAME]
    slug = re.sub(r"[^A-Za-z0-9]+", "-", partition).strip("-")[: DISPLAY_NAME_LIMIT - len(short) - 1].strip("-")
    return f"{slug}-{short}" if slug else short
