"""One poller per triggerer for all waiters with the same connection, region and botocore configuration.

A triggerer runs a thousand triggers in one event loop. Each registers a `Waiter`. The poller calls
ListPipelineExecutions once per pipeline and interval, which returns the status of a hundred executions, and Describe
only for executions that are not in the list. boto3 runs in two threads, never in the event loop. The poller never logs,
because the line would be in the log of the sensor that started it. It passes lines to the waiters, which log them.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, TypeVar, TypeVarTuple, Unpack

from airflow_sagemaker import airflow_compat
from airflow_sagemaker.aws.backoff import jittered_pauses
from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.executions import LIVE, Execution, ExecutionArn, Executions
from airflow_sagemaker.aws.faults import Fault, classify_error, error_code, error_text
from airflow_sagemaker.aws.stopping import try_to_stop
from airflow_sagemaker.contract import ProgressLevel
from airflow_sagemaker.exceptions import ExecutionNotFound, NotStopped
from airflow_sagemaker.wait.progress_report import ProgressReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sagemaker.aws.connections import AwsTarget
    from airflow_sagemaker.aws.responses import Response
    from airflow_sagemaker.types import JsonObject

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

GATHER_SECONDS = 0.2
"""Seconds before a new waiter is polled, together with others that arrive in the meantime."""
LONGEST_BACKOFF = 16.0
"""Largest factor by which the interval grows while SageMaker throttles."""
JITTER = 0.1
"""Jitter: share by which an interval is extended at most. It is never shorter, so `poll_interval` limits the calls."""
THREADS = 2
PROGRESS_CALLS_PER_SECOND = 2.0
"""Calls per second for progress="steps" and "logs" together, per connection and region; status is not counted."""
IDLE_SECONDS = 0.5
MISSING_LOOKS = 3
"""How often an execution must be reported missing before its waiter gives up."""

STOP_SECONDS = 20.0
"""How long a stop is retried: a trigger's on_kill has thirty seconds ([triggerer] on_kill_timeout)."""

MAY_NOT_LIST = (
    "The role lacks sagemaker:ListPipelineExecutions: polling each execution separately "
    "(sagemaker:DescribePipelineExecution)"
)
ALL_ALIKE = frozenset({Fault.THROTTLED, Fault.UNAVAILABLE, Fault.IN_BETWEEN, Fault.EXPIRED, Fault.CREDENTIALS})
"""Faults of a Describe after which the round makes no more Describe calls, because they would fail, too."""

HOPELESS = frozenset({Fault.EXPIRED, Fault.CREDENTIALS, Fault.DENIED})
HOPELESS_LOOKS = 2
"""Consecutive faults of this kind that end the wait, even before `patience` expires: the second try had new clients."""


@dataclass(eq=False, slots=True)
class Waiter:
    """A trigger's wait for an execution."""

    arn: ExecutionArn
    interval: float
    patience: float
    """Seconds of continuous faults after which the wait ends with the fault."""
    done: asyncio.Future[Execution]
    report: ProgressReport
    lines: list[tuple[str, str]] = field(default_factory=list)
    """(level, text) for the trigger's log; `next_lines` takes them."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there are lines, or the wait has ended."""
    started_at: datetime | None = None
    status: str = ""
    failing_since: float | None = None
    missing: int = 0
    hopeless: int = 0
    due: float = 0.0
    reported_at: float = 0.0
    position: JsonObject = field(default_factory=dict)
    """Position of the lines given to this waiter (ProgressReport.position)."""

    @property
    def wants_progress(self) -> bool:
        """Whether to request its steps: they are wanted, and the execution is running."""
        return self.report.level != ProgressLevel.STATUS and self.status in LIVE and not self.done.done()

    def say(self, level: str, text: str) -> None:
        """Pass a line to the trigger, which logs it."""
        self.lines.append((level, text))
        self.news.set()

    async def next_lines(self) -> list[tuple[str, str]]:
        """Wait until there are lines, or the wait has ended; return the lines."""
        await self.news.wait()
        self.news.clear()
        lines, self.lines = self.lines, []
        return lines

    def seen(self, execution: Execution, now: float) -> None:
        """Process a response; resolves `done` if the execution has ended."""
        self.failing_since, self.missing, self.hopeless = None, 0, 0
        self.due = now + self.interval
        self.started_at = execution.started_at or self.started_at
        if execution.status != self.status:
            self.say("info", f"Execution is {execution.status}")
            self.status = execution.status
        if not execution.live and not self.done.done():
            self.done.set_result(execution)
            self.news.set()

    def failed(self, error: Exception, now: float, pause: float) -> None:
        """Process a fault; ends the wait with it after `patience` seconds, or sooner if waiting cannot help."""
        self.due = now + pause
        if self.failing_since is None:
            self.failing_since = now
            self.say("warning", f"Polling: {error_code(error)}: {error_text(error)}; retrying")
        self.hopeless = self.hopeless + 1 if classify_error(error) in HOPELESS else 0
        if self.hopeless >= HOPELESS_LOOKS or now - self.failing_since >= self.patience:
            self.give_up(error)

    def give_up(self, error: BaseException) -> None:
        """End the wait with this error."""
        if not self.done.done():
            self.done.set_exception(error)
            self.news.set()


class SharedPoller:
    """Polls for all waiters of one target; use `SharedPoller.of(target)` in a running event loop."""

    _pollers: ClassVar[dict[tuple[int, str], SharedPoller]] = {}

    def __init__(self, target: AwsTarget) -> None:
        self.target = target
        self.target.forget()  # a triggerer runs for weeks: a new poller reloads the connection
        self._waiters: set[Waiter] = set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._budget = Budget(PROGRESS_CALLS_PER_SECOND)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sagemaker-poller")
        # Patience 0: one attempt per call. The poller waits between rounds, without blocking a thread.
        self._aws = _QuietAws(target)
        self._executions = Executions(self._aws)
        self._slower = 1.0
        self._stopping = 0
        self._may_not_list = False

    @classmethod
    def of(cls, target: AwsTarget) -> SharedPoller:
        """Return the poller of this target in this event loop."""
        key = (id(asyncio.get_running_loop()), target.key())
        if key not in cls._pollers:
            cls._pollers[key] = cls(target)
        return cls._pollers[key]

    def add(self, arn: str, interval: float, patience: float, progress: str = ProgressLevel.STATUS) -> Waiter:
        """Start waiting for an execution; end the wait with `remove`."""
        loop = asyncio.get_running_loop()
        waiter = Waiter(ExecutionArn.parse(arn), interval, patience, loop.create_future(), ProgressReport(progress))
        self._waiters.add(waiter)
        self._wake.set()
        if all(task.done() for task in self._tasks):
            # A separate context, because the triggerer assigns logs and connections by the trigger's context variables.
            self._tasks = [
                loop.create_task(coroutine, name="sagemaker-poller", context=contextvars.Context())
                for coroutine in (self._run(), self._report_progress())
            ]
            for task in self._tasks:
                task.add_done_callback(self._ended)
        return waiter

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End all waits if the poller itself has failed."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        for waiter in self._waiters:
            waiter.give_up(error)

    def remove(self, waiter: Waiter) -> None:
        """End a wait; after the last one, the poller ends."""
        self._waiters.discard(waiter)
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._waiters or self._stopping:
            return
        for task in self._tasks:
            task.cancel()
        self._pool.shutdown(wait=False)
        for key, poller in list(self._pollers.items()):
            if poller is self:
                del self._pollers[key]

    async def in_thread(self, function: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments) -> Result:
        """Run a blocking call in the poller's threads, which must not request the connection from Airflow."""
        self._aws.forget_when_stale()
        if not self.target.prepared:
            await airflow_compat.call_where_airflow_may_be_asked(self.target.prepare)
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def stop(self, arn: str) -> Execution:
        """Stop an execution (for a trigger's on_kill) and return what Describe then reports.

        Like `stopping.stop_execution`, but pauses do not block a thread, since many tasks may be marked at once.
        """
        self._stopping += 1
        pauses, attempts = jittered_pauses(within=STOP_SECONDS, longest=5.0), 0
        try:
            while True:
                attempt, attempts = await self.in_thread(try_to_stop, self._executions, arn), attempts + 1
                if attempt.stopped is not None:
                    return attempt.stopped
                pause, hopeless = next(pauses, None), attempt.is_hopeless(attempts)
                if hopeless or pause is None:
                    raise NotStopped(arn, str(attempt), hopeless=hopeless)
                await asyncio.sleep(pause)
        finally:
            self._stopping -= 1
            self._close_if_idle()

    async def _run(self) -> None:
        while True:
            pause = min((w.due for w in self._waiters if not w.done.done()), default=monotonic() + 60) - monotonic()
            if pause > 0:
                try:
                    await asyncio.wait_for(self._wake.wait(), pause)
                except TimeoutError:
                    pass
                else:
                    await asyncio.sleep(GATHER_SECONDS)
            elif self._wake.is_set():
                await asyncio.sleep(GATHER_SECONDS)
            self._wake.clear()
            await self._round()

    async def _report_progress(self) -> None:
        """Request the steps (and logs) of waiters that want them, in turn, within the budget of calls."""
        while True:
            ready = [w for w in self._waiters if w.wants_progress and w.reported_at + w.interval <= monotonic()]
            if not ready:
                await asyncio.sleep(IDLE_SECONDS)
                continue
            waiter = min(ready, key=lambda w: w.reported_at)
            await self._budget.take(waiter.report.calls)
            waiter.reported_at = monotonic()
            try:
                lines = await self.in_thread(waiter.report.new_lines, self._executions, waiter.arn.text)
            except Exception as error:
                self._slow_down(classify_error(error))
                waiter.say("debug", f"Progress: {error_code(error)}: {error_text(error)}")
                continue
            for level, text in lines:
                waiter.say(level, text)
            waiter.position = waiter.report.position()

    async def _round(self) -> None:
        """Poll all pipelines with a waiter that is due; the other waiters of the pipeline get the result, too."""
        now = monotonic()
        by_pipeline: dict[str, list[Waiter]] = {}
        for waiter in self._waiters:
            if not waiter.done.done():
                by_pipeline.setdefault(waiter.arn.pipeline_arn, []).append(waiter)
        due = [group for group in by_pipeline.values() if any(w.due <= now for w in group)]
        for group in due:
            await self._ask(group)

    async def _ask(self, group: list[Waiter]) -> None:
        might_list = not self._may_not_list
        try:
            looks = await self.in_thread(self._look, group)
        except Exception as error:  # an error of ours ends the waits of this pipeline only
            looks = dict.fromkeys(group, error)
        if might_list and self._may_not_list:
            for waiter in group:
                waiter.say("warning", MAY_NOT_LIST)
        now, spread = monotonic(), random.uniform(0.0, JITTER)  # noqa: S311 - jitter, no secret
        faults = {classify_error(seen) for seen in looks.values() if isinstance(seen, Exception)}
        if Fault.THROTTLED in faults:
            self._slow_down(Fault.THROTTLED)
        elif not faults:
            self._slower = max(1.0, self._slower * 0.8)
        for waiter, seen in looks.items():
            try:
                self._take_in(waiter, seen, now, spread)
            except Exception as error:  # a fault that concerns one waiter only
                waiter.give_up(error)

    def _take_in(self, waiter: Waiter, seen: Execution | Exception, now: float, spread: float) -> None:
        if isinstance(seen, Execution):
            waiter.seen(seen, now)
            waiter.due += waiter.interval * (self._slower - 1 + spread)
        elif isinstance(seen, ExecutionNotFound):
            waiter.missing += 1
            waiter.due = now + waiter.interval
            if waiter.missing >= MISSING_LOOKS:
                waiter.give_up(seen)
        else:
            waiter.failed(seen, now, waiter.interval * self._slower * (1 + spread))

    def _slow_down(self, fault: Fault) -> None:
        if fault is Fault.THROTTLED:
            self._slower = min(LONGEST_BACKOFF, self._slower * 2)

    def _look(self, group: list[Waiter]) -> dict[Waiter, Execution | Exception]:
        """Return the state, or the error, of each execution of a pipeline that has a waiter; blocking."""
        found: dict[str, Execution] = {}
        looks: dict[Waiter, Execution | Exception] = {}
        if len({waiter.arn.execution_id for waiter in group}) > 1:
            fault = self._list(group, found)
            if fault is not None:
                return dict.fromkeys(group, fault)
        for waiter in group:
            key = waiter.arn.execution_id.lower()
            if key not in found:
                try:
                    found[key] = self._executions.describe(waiter.arn.text)
                except Exception as error:
                    looks[waiter] = error
                    if classify_error(error) in ALL_ALIKE:
                        return {each: found.get(each.arn.execution_id.lower(), error) for each in group}
                    continue
            looks[waiter] = found[key]
        return looks

    def _list(self, group: list[Waiter], found: dict[str, Execution]) -> Exception | None:
        """Read the pipeline's list back to the oldest waiter, but at most as many pages as Describe calls would be
        needed.

        Returns the fault if the list cannot be read; None if the role may not list, and each execution is described.
        """
        if self._may_not_list:
            return None
        wanted = {waiter.arn.execution_id.lower() for waiter in group}
        starts = [waiter.started_at for waiter in group]
        known = [start for start in starts if start is not None]
        oldest = min(known) - timedelta(seconds=2) if len(known) == len(starts) else None
        budget = max(2, ceil(len(wanted) / 4)) * 100
        listed = self._executions.listed(group[0].arn.pipeline_arn, created_after=oldest)
        try:
            for number, execution in enumerate(listed, start=1):
                if execution.id in wanted:
                    found[execution.id] = execution
                if len(found) == len(wanted) or number >= budget:
                    break
        except Exception as error:
            if classify_error(error) is not Fault.DENIED:
                return error
            self._may_not_list = True
        return None


class Budget:
    """A limit of calls per second, without bursts."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._free_at = 0.0

    async def take(self, calls: int) -> None:
        """Wait until `calls` are allowed; unused calls are not saved up."""
        now = monotonic()
        self._free_at = max(self._free_at, now) + calls / self.rate
        await asyncio.sleep(max(0.0, self._free_at - calls / self.rate - now))


class _QuietAws(Aws):
    """Makes single attempts without logging, and forgets its clients only when the event loop allows it.

    Otherwise, a thread that creates a new client would request the connection from Airflow.
    """

    stale = False

    def forget_clients(self) -> None:
        self.stale = True

    def forget_when_stale(self) -> None:
        if self.stale:
            self.stale = False
            super().forget_clients()

    def call(self, service: str, operation: str, /, **arguments: object) -> Response:
        return self.once(service, operation, **arguments)
