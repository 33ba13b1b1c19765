"""Everything that depends on Airflow's version; docs/versions.md has the table.

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
    """Raise ImportError with a one-line message if Airflow is older than 3.2."""
    found = installed_airflow_version()
    if found is None:
        return
    from packaging.version import Version

    if Version(found).release[:2] < OLDEST:
        raise ImportError(f"airflow_sagemaker requires Apache Airflow 3.2 or later, found {found}: {WHY}")


require_supported_airflow()


def has_task_state_store() -> bool:
    """Whether the installed Airflow is 3.3 or later, which has `task_state_store`.

    It checks the version, because importing Airflow takes seconds and redirects logging, even for the command line.
    """
    from packaging.version import Version

    return Version(installed_airflow_version() or "0").release[:2] >= (3, 3)


class TaskStateStore(Protocol):
    """The methods that we use of Airflow's store, which survives retries, deferrals and clears of a task."""

    def get(self, key: str, /) -> object:
        """Return the value of a key, None if there is none."""
        ...

    def set(self, key: str, value: JsonObject, /, *, retention: timedelta | None = None) -> None:
        """Store a value for `retention`; None uses Airflow's configuration."""
        ...


def task_state_store(context: Context) -> TaskStateStore | None:
    """Return this task's store, None before Airflow 3.3."""
    store: TaskStateStore | None = context.get("task_state_store")
    return store


def add_partition(event: object, partition: str) -> None:
    """Set an asset event's partition; before Airflow 3.3 it is only in the event's `extra`."""
    add = getattr(event, "add_partitions", None)
    if add is not None:
        add(partition)


def import_dag_bag() -> type[DagBag]:
    """Return the class that reads a folder's DAG files, without Airflow's examples, which 3.2 adds by default."""
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    from airflow.dag_processing.dagbag import DagBag

    return DagBag


async def call_where_airflow_may_be_asked(function: Callable[[], Result]) -> Result:
    """Call a function that may send a request to the triggerer's supervisor, such as for a connection.

    In a plain thread, such a request could read another request's response, which ends the triggerer (apache/airflow
    #64620, fixed in 3.2.2). asgiref's thread passes the request to the event loop. There is only one such thread, so
    keep the call short.

    The call continues if the caller is cancelled: asgiref would cancel a request that waits for its response, and the
    next request would read that response, which also ends the triggerer.
    """
    from asgiref.sync import sync_to_async

    return await asyncio.shield(in_background(sync_to_async(function)()))


def in_background(coroutine: Coroutine[object, None, Result]) -> asyncio.Task[Result]:
    """Start a coroutine that continues even if nobody waits for it."""
    task = asyncio.get_running_loop().create_task(coroutine)
    _BACKGROUND.add(task)
    task.add_done_callback(_background_ended)
    return task


def _background_ended(task: asyncio.Task[Result]) -> None:
    _BACKGROUND.discard(task)
    if not task.cancelled():
        task.exception()  # otherwise asyncio logs that nobody has retrieved it


_BACKGROUND: set[asyncio.Future[Any]] = set()
"""An event loop has only weak references to its tasks."""


def kill_after_cancel(trigger: BaseTrigger) -> None:
    """Call `on_kill` of a trigger that is being cancelled, before Airflow 3.3, which does it itself.

    A cancelled trigger cannot distinguish a mark from a restart of the triggerer or from a deferral that timed out.
    on_kill requests the task's state; in a separate asyncio task, because waiting here would mix up the supervisor's
    responses.
    """
    from airflow.triggers.base import BaseTrigger

    if hasattr(BaseTrigger, "on_kill") or getattr(trigger, "task_instance", None) is None:
        return
    timeout: datetime | None = getattr(trigger, "timeout_after", None)  # the triggerer sets it
    if timeout is not None and (timeout if timeout.tzinfo else timeout.replace(tzinfo=UTC)) < datetime.now(UTC):
        return  # the task stops it when it resumes
    in_background(_kill(trigger))


async def _kill(trigger: BaseTrigger) -> None:
    try:
        await trigger.on_kill()
    except Exception as error:  # nobody waits for this asyncio task; `orphans` finds an execution that keeps running
        log.warning("on_kill of a cancelled trigger failed: %s", error)


async def has_been_acted_upon(trigger: BaseTrigger) -> bool:
    """Whether a user has marked or cleared the deferred task of a trigger whose on_kill was called; logs if not.

    Airflow 3.3 also calls it in a triggerer that has lost the trigger to another one, because its own heartbeats were
    late: the task is then still deferred. If Airflow does not return the task's state, nothing is assumed; `orphans`
    finds an execution that keeps running.
    """
    ti = trigger.task_instance
    if ti is None:
        return True
    try:
        states = await _task_states(ti)
    except Exception as error:
        trigger.log.warning("Could not find out whether the task was marked or cleared, so nothing stops: %s", error)
        return False
    if "deferred" in states.values():
        trigger.log.info("The task is still deferred, so nothing stops: another triggerer waits")
        return False
    # A deleted run's task has no state; Airflow 3.2 may omit a live one's.
    return bool(states) or has_task_state_store()


async def _task_states(ti: TaskInstance) -> dict[str, str | None]:
    """Return the state of one task instance by its name; empty if it no longer exists."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetTaskStates

    question = GetTaskStates(dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=[ti.task_id], map_index=ti.map_index)
    answer: Any = await task_runner.SUPERVISOR_COMMS.asend(question)
    states: dict[str, str | None] = answer.task_states.get(ti.run_id, {})
    return states
