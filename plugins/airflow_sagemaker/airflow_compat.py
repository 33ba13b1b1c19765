"""The one place that knows how Airflow's versions differ; docs/versions.md has the table.

Importing it rejects an Airflow that is too old, before an import from Airflow fails without an explanation.
Everything else here checks for features instead of versions, except outside of tasks (`has_task_state_store`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk import Context
    from airflow.triggers.base import BaseTrigger

    from airflow_sagemaker.types import JsonObject

log = logging.getLogger(__name__)
Result = TypeVar("Result")

OLDEST = (3, 2)
WHY = "older versions lack partition keys and plugin pages, and before 3.1.2 do not retry killed tasks"


def installed_airflow_version() -> str | None:
    """Airflow's version; None without one. Airflow 3 is apache-airflow-core, Airflow 2 was apache-airflow."""
    for package in ("apache-airflow-core", "apache-airflow"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


def require_supported_airflow() -> None:
    """Raise ImportError with one line when Airflow is older than 3.2."""
    found = installed_airflow_version()
    if found is None:
        return
    from packaging.version import Version

    if Version(found).release[:2] < OLDEST:
        raise ImportError(f"airflow_sagemaker requires Apache Airflow 3.2 or later, found {found}: {WHY}")


require_supported_airflow()


def has_task_state_store() -> bool:
    """Whether the installed Airflow is 3.3 or later, which has `task_state_store`.

    By its version, because importing Airflow takes seconds and redirects logging, in a command line's process too.
    """
    from packaging.version import Version

    return Version(installed_airflow_version() or "0").release[:2] >= (3, 3)


class TaskStateStore(Protocol):
    """What is used of Airflow's store that survives retries, deferrals and clears of a task."""

    def get(self, key: str, /) -> object:
        """Return what is stored under a key; None if nothing is."""
        ...

    def set(self, key: str, value: JsonObject, /, *, retention: timedelta | None = None) -> None:
        """Store a value, for `retention` or as long as Airflow is configured to."""
        ...


def task_state_store(context: Context) -> TaskStateStore | None:
    """Airflow's store of this task; None before 3.3."""
    store: TaskStateStore | None = context.get("task_state_store")
    return store


def add_partition(event: object, partition: str) -> None:
    """Give an asset event its partition; before 3.3 it is only in the event's `extra`."""
    add = getattr(event, "add_partitions", None)
    if add is not None:
        add(partition)


def import_dag_bag() -> type[DagBag]:
    """The class that reads the DAG files of a folder, without Airflow's own examples (3.2 adds them by default)."""
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    from airflow.dag_processing.dagbag import DagBag

    return DagBag


async def call_where_airflow_may_be_asked(function: Callable[[], Result]) -> Result:
    """Call a function that may ask the triggerer's supervisor, for a connection say, from an event loop.

    In a plain thread such a question would read another one's answer and end the triggerer (apache/airflow #64620,
    fixed in 3.2.2); asgiref's thread hands it over to the loop. It is the only such thread, so keep the call short.

    The call continues when the caller is cancelled: asgiref would cancel a question that waits for its answer, and the
    next question would read that answer, which ends the triggerer as well.
    """
    from asgiref.sync import sync_to_async

    return await asyncio.shield(_in_background(sync_to_async(function)()))


def _in_background(coroutine: Coroutine[object, None, Result]) -> asyncio.Task[Result]:
    """A task that nobody needs to wait for."""
    task = asyncio.get_running_loop().create_task(coroutine)
    _BACKGROUND.add(task)
    task.add_done_callback(_background_ended)
    return task


def _background_ended(task: asyncio.Task[Result]) -> None:
    _BACKGROUND.discard(task)
    if not task.cancelled():
        task.exception()  # otherwise asyncio logs that nobody has retrieved it


_BACKGROUND: set[asyncio.Future[Any]] = set()
"""An event loop keeps no hold on its tasks."""


def kill_after_cancel(trigger: BaseTrigger) -> None:
    """Call in a trigger that is being cancelled: its `on_kill` runs when a person has marked or cleared the task.

    From 3.3 on Airflow itself calls on_kill. Before, a cancelled trigger cannot distinguish a mark from a restart of
    the triggerer or from a deferral that timed out: it has to ask for the task's state. A separate asyncio task does
    that, because waiting for the answer here would leave the supervisor's messages out of step.
    """
    from airflow.triggers.base import BaseTrigger

    if hasattr(BaseTrigger, "on_kill") or getattr(trigger, "task_instance", None) is None:
        return
    _in_background(_kill_if_acted_upon(trigger))


async def _kill_if_acted_upon(trigger: BaseTrigger) -> None:
    timeout: datetime | None = getattr(trigger, "timeout_after", None)  # the triggerer sets it
    if timeout is not None and (timeout if timeout.tzinfo else timeout.replace(tzinfo=UTC)) < datetime.now(UTC):
        return  # the task stops it when it resumes
    try:
        ti = trigger.task_instance
        states = await _task_states(ti) if ti is not None else {}
        if states and "deferred" not in states.values():
            await trigger.on_kill()
    except Exception as error:  # nobody waits for this task; `orphans` finds what is left
        log.warning("Could not find out whether the deferred task was marked success or failed: %s", error)


async def _task_states(ti: TaskInstance) -> dict[str, str | None]:
    """The state of one task instance by its name; empty if Airflow no longer has it."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetTaskStates

    question = GetTaskStates(dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=[ti.task_id], map_index=ti.map_index)
    answer: Any = await task_runner.SUPERVISOR_COMMS.asend(question)
    states: dict[str, str | None] = answer.task_states.get(ti.run_id, {})
    return states
