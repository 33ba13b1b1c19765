"""What `on_kill` of the operator ends: the compiler's processes, and the execution that is known or being started.

on_kill runs inside a signal handler of the task's main thread: it must not talk to the supervisor, nor share a client's
locks with the call it may have interrupted, so the stop uses separate clients, made before they are needed.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.stopping import KILL_SECONDS, stop_from_signal_handler

if TYPE_CHECKING:
    import subprocess

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.executions import Executions

    Start = Callable[[Executions], str | None]
    """Sends a start request by these clients; the execution's ARN."""


class KillSwitch:
    """Thrown once, at any moment of a try; whatever begins later checks `thrown` or is ended when it is registered."""

    def __init__(self) -> None:
        self.thrown = False
        self.seconds = KILL_SECONDS
        """How long `throw` may take to stop an execution."""
        self.execution_arn: str | None = None
        """The execution to stop, once it is known."""
        self._unanswered: Start | None = None
        self._stopper: Executions | None = None
        self._aws: Aws | None = None
        self._children: list[subprocess.Popen[bytes]] = []

    def interrupts(self, aws: Aws) -> None:
        """End the waits and retries of these calls when thrown."""
        self._aws = aws
        if self.thrown:
            aws.stopped.set()

    def stops_by(self, executions: Executions) -> None:
        """Stop the execution with these clients when thrown; without them the execution is left running."""
        executions.aws.client("sagemaker")  # made now: in the signal handler no connection can be read
        self._stopper = executions

    def ends_child(self, child: subprocess.Popen[bytes]) -> None:
        """End the process group of a child when thrown."""
        self._children.append(child)
        if self.thrown:  # the signal came before the child did
            self.throw()

    def unanswered(self, request: Start | None) -> None:
        """A start request that may have begun an execution, or that has been answered (None).

        When thrown, it is sent again: its token makes the response name the execution to stop.
        """
        self._unanswered = request

    @contextlib.contextmanager
    def starting(self, request: Start) -> Iterator[None]:
        """While a start call is under way; a timeout that interrupts it leaves it unanswered."""
        self.execution_arn = None
        self.unanswered(request)
        try:
            yield
        except Exception:
            self.unanswered(None)  # the call has been answered, if only by a fault: who sent it decides
            raise
        self.unanswered(None)

    def throw(self) -> None:
        """Called by on_kill. What is not known yet, `execute` stops itself when it sees `thrown`."""
        self.thrown = True
        if self._aws is not None:
            self._aws.stopped.set()
        for child in self._children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        if self._stopper is None:
            return
        if self.execution_arn is not None:
            arn = self.execution_arn
            stop_from_signal_handler(self._stopper, lambda _: arn, within=self.seconds)
        elif self._unanswered is not None:
            stop_from_signal_handler(self._stopper, self._unanswered, within=self.seconds)
