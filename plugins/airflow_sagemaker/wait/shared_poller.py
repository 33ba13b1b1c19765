"""One poller for all that wait on the same connection, region and botocore configuration in a triggerer.

A triggerer runs a thousand triggers in one event loop. Each registers a `Waiter`; the poller asks SageMaker once per
pipeline and interval (ListPipelineExecutions has the status of a hundred executions per call) and Describe only for
the few that a list does not show. boto3 runs in two threads, never in the event loop. The poller never logs: a line
would land in whichever sensor's log its task was born under. It puts lines into the waiters, who log their own.
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
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_sagemaker.aws.client import HEALING, Aws, Fault, classify, error_code, error_text
from airflow_sagemaker.aws.executions import LIVE, Execution, ExecutionArn, Executions
from airflow_sagemaker.contract import ProgressLevel
from airflow_sagemaker.wait.progress_report import ProgressReport

if TYPE_CHECKING:
    from airflow_sagemaker.aws.connections import AwsTarget

GATHER_SECONDS = 0.2
"""A new waiter is first looked at after this pause, together with those that arrive beside it."""
LONGEST_BACKOFF = 16.0
"""How much longer than asked for the interval becomes, at most, while SageMaker throttles."""
JITTER = 0.1
THREADS = 2
PROGRESS_CALLS_PER_SECOND = 2.0
"""What progress="steps" and "logs" may cost together per connection and region; status is not counted."""
IDLE_SECONDS = 0.5
MISSING_LOOKS = 3
"""How often an execution must be reported missing before its waiter gives up."""

STOP_SECONDS = 20.0
"""How long a stop is tried again: Airflow gives a trigger's on_kill thirty seconds ([triggerer] on_kill_timeout)."""

HOPELESS = frozenset({Fault.EXPIRED, Fault.CREDENTIALS, Fault.DENIED})
HOPELESS_LOOKS = 2
"""So many such faults in a row are reported, however much patience is left: the second look had new clients."""


@dataclass(eq=False)
class Waiter:
    """One trigger's wait for one execution."""

    arn: ExecutionArn
    interval: float
    patience: float
    """Seconds of uninterrupted faults before the waiter is given the fault instead of an answer."""
    done: asyncio.Future[Execution]
    report: ProgressReport
    lines: asyncio.Queue[tuple[str, str]] = field(default_factory=asyncio.Queue)
    """(level, text) for the trigger's own log."""
    started_at: datetime | None = None
    status: str = ""
    failing_since: float | None = None
    missing: int = 0
    hopeless: int = 0
    due: float = 0.0
    reported_at: float = 0.0
    position: dict[str, Any] = field(default_factory=dict)
    """How far the lines given to this waiter have come (ProgressReport.position)."""

    @property
    def wants_progress(self) -> bool:
        """Whether its steps are to be asked for: it wants to know, and the execution runs."""
        return self.report.level != ProgressLevel.STATUS and self.status in LIVE and not self.done.done()

    def seen(self, execution: Execution, now: float) -> None:
        """Take in an answer; resolves `done` when the execution has ended."""
        self.failing_since, self.missing, self.hopeless = None, 0, 0
        self.due = now + self.interval
        self.started_at = execution.started_at or self.started_at
        if execution.status != self.status:
            self.lines.put_nowait(("info", f"Execution is {execution.status}"))
            self.status = execution.status
        if not execution.live and not self.done.done():
            self.done.set_result(execution)

    def failed(self, error: Exception, now: float, pause: float) -> None:
        """Take in a fault; gives up with it after `patience` seconds, sooner when waiting cannot help."""
        self.due = now + pause
        if self.failing_since is None:
            self.failing_since = now
            self.lines.put_nowait(("warning", f"Polling: {error_code(error)}: {error_text(error)}; trying again"))
        self.hopeless = self.hopeless + 1 if classify(error) in HOPELESS else 0
        given_up = self.hopeless >= HOPELESS_LOOKS or now - self.failing_since >= self.patience
        if given_up and not self.done.done():
            self.done.set_exception(error)


class SharedPoller:
    """See the module; get one with `SharedPoller.of(target)` inside a running event loop."""

    _pollers: ClassVar[dict[tuple[int, str], SharedPoller]] = {}

    def __init__(self, target: AwsTarget) -> None:
        self.target = target
        self.target.forget()  # a triggerer lives for weeks: a new poller reads the connection anew
        self._waiters: set[Waiter] = set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._budget = Budget(PROGRESS_CALLS_PER_SECOND)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sagemaker-poller")
        # Patience 0: one attempt per call. Waiting is done here, between rounds, where it blocks no thread.
        self._aws = _QuietAws(target)
        self._executions = Executions(self._aws)
        self._slower = 1.0
        self._stopping = 0

    @classmethod
    def of(cls, target: AwsTarget) -> SharedPoller:
        """The poller of this target in this event loop."""
        key = (id(asyncio.get_running_loop()), target.key())
        if key not in cls._pollers:
            cls._pollers[key] = cls(target)
        return cls._pollers[key]

    def add(self, arn: str, interval: float, patience: float, progress: str = ProgressLevel.STATUS) -> Waiter:
        """Begin to wait for an execution; end it with `remove`."""
        loop = asyncio.get_running_loop()
        waiter = Waiter(ExecutionArn.parse(arn), interval, patience, loop.create_future(), ProgressReport(progress))
        self._waiters.add(waiter)
        self._wake.set()
        if all(task.done() for task in self._tasks):
            # A context of its own: the triggerer routes log lines and connections by context variables of the trigger.
            self._tasks = [
                loop.create_task(coroutine, name="sagemaker-poller", context=contextvars.Context())
                for coroutine in (self._run(), self._report_progress())
            ]
            for task in self._tasks:
                task.add_done_callback(self._ended)
        return waiter

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A poller that died of a fault of its own must not leave anybody waiting for ever."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        for waiter in self._waiters:
            if not waiter.done.done():
                waiter.done.set_exception(error)

    def remove(self, waiter: Waiter) -> None:
        """End a wait; the last one ends the poller."""
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

    async def in_thread(self, function: Any, *arguments: Any) -> Any:
        """Run a blocking call in the poller's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def stop(self, arn: str) -> bool:
        """Stop an execution (a trigger's on_kill); what heals is waited out, since many may be marked at once."""
        self._stopping += 1
        deadline, pause = monotonic() + STOP_SECONDS, 0.5
        try:
            while True:
                try:
                    return bool(await self.in_thread(self._executions.stop, arn))
                except Exception as error:
                    if classify(error) not in HEALING or monotonic() + pause > deadline:
                        raise
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
                pause *= 2
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
        """Ask for the steps (and logs) of those who want them, in turn, within the budget of calls."""
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
                self._slow_down(classify(error))
                waiter.lines.put_nowait(("debug", f"Progress: {error_code(error)}: {error_text(error)}"))
                continue
            for line in lines:
                waiter.lines.put_nowait(line)
            waiter.position = waiter.report.position()

    async def _round(self) -> None:
        """Ask about every pipeline that has a waiter due now; a pipeline's other waiters learn it too."""
        now = monotonic()
        by_pipeline: dict[str, list[Waiter]] = {}
        for waiter in self._waiters:
            if not waiter.done.done():
                by_pipeline.setdefault(waiter.arn.pipeline_arn, []).append(waiter)
        due = [group for group in by_pipeline.values() if any(w.due <= now for w in group)]
        for group in due:
            await self._ask(group)

    async def _ask(self, group: list[Waiter]) -> None:
        try:
            found, missing = await self.in_thread(self._look, group)
        except Exception as error:
            self._slow_down(classify(error))
            for waiter in group:
                pause = waiter.interval * self._slower * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
                waiter.failed(error, monotonic(), pause)
            return
        self._slower = max(1.0, self._slower * 0.8)
        now = monotonic()
        spread = random.uniform(-JITTER, JITTER)  # noqa: S311 - jitter, no secret
        for waiter in group:
            if waiter.arn.text in found:
                waiter.seen(found[waiter.arn.text], now)
                waiter.due += waiter.interval * (self._slower - 1 + spread)
            elif waiter.arn.text in missing:
                self._missed(waiter, missing[waiter.arn.text])

    def _missed(self, waiter: Waiter, error: Exception) -> None:
        waiter.missing += 1
        waiter.due = monotonic() + waiter.interval
        if waiter.missing >= MISSING_LOOKS and not waiter.done.done():
            waiter.done.set_exception(error)

    def _slow_down(self, fault: Fault) -> None:
        if fault is Fault.THROTTLED:
            self._slower = min(LONGEST_BACKOFF, self._slower * 2)

    def _look(self, group: list[Waiter]) -> tuple[dict[str, Execution], dict[str, Exception]]:
        """Blocking: the executions of one pipeline that somebody waits for, and those that do not exist."""
        wanted = {waiter.arn.text: waiter for waiter in group}
        found: dict[str, Execution] = {}
        missing: dict[str, Exception] = {}
        if len(wanted) > 1:
            self._list(group, wanted, found)
        for arn in wanted.keys() - found.keys():
            try:
                found[arn] = self._executions.describe(arn)
            except Exception as error:
                if classify(error.__cause__ or error) not in {Fault.NOT_FOUND, Fault.INVALID}:
                    raise
                missing[arn] = error
        return found, missing

    def _list(self, group: list[Waiter], wanted: dict[str, Waiter], found: dict[str, Execution]) -> None:
        """Read the pipeline's list back to the oldest waiter, but never more pages than Describe calls would cost."""
        starts = [waiter.started_at for waiter in group]
        known = [start for start in starts if start is not None]
        oldest = min(known) - timedelta(seconds=2) if len(known) == len(starts) else None
        budget = max(2, ceil(len(wanted) / 4)) * 100
        for number, execution in enumerate(
            self._executions.listed(group[0].arn.pipeline_arn, created_after=oldest), start=1
        ):
            if execution.arn in wanted:
                found[execution.arn] = execution
            if len(found) == len(wanted) or number >= budget:
                return


class Budget:
    """So many calls per second for all together: steady, without bursts."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._free_at = 0.0

    async def take(self, calls: int) -> None:
        """Wait until `calls` are allowed; they are spread evenly, never saved up."""
        now = monotonic()
        self._free_at = max(self._free_at, now) + calls / self.rate
        await asyncio.sleep(max(0.0, self._free_at - calls / self.rate - now))


class _QuietAws(Aws):
    """Calls once and never logs."""

    def call(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = getattr(self.client(service), operation)(**arguments)
        except Exception as error:
            if classify(error) is Fault.EXPIRED:
                self.forget_clients()
            raise
        return reply
