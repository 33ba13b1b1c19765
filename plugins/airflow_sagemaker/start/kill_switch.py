"""What the operator's `on_kill` ends: the compile process, and the execution that is known or being started.

on_kill runs in a signal handler of the task's main thread. It must not communicate with the supervisor, or use a client
whose locks an interrupted call may hold, so the stop uses separate clients, which are created beforehand.
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
    """Sends a start request with these clients; returns the execution's ARN."""


class KillSwitch:
    """Thrown once, at any moment of a try. What begins later checks `thrown`, or is ended when it is registered."""

    def __init__(self) -> None:
        self.thrown = False
        self.seconds = KILL_SECONDS
        """Seconds that `throw` may take to stop an execution."""
        self.execution_arn: str | None = None
        """The execution to stop, once it is known."""
        self._unanswered: Start | None = None
        self._stopper: Executions | None = None
        self._aws: Aws | None = None
        self._children: list[subprocess.Popen[bytes]] = []

    def interrupts(self, aws: Aws) -> None:
        """End the pauses and retries of these calls when thrown."""
        self._aws = aws
        if self.thrown:
            aws.stopped.set()

    def stops_by(self, executions: Executions) -> None:
        """Stop the execution with these clients when thrown; without them, it keeps running."""
        executions.aws.client("sagemaker")  # created now, because a signal handler cannot read a connection
        self._stopper = executions

    def ends_child(self, child: subprocess.Popen[bytes]) -> None:
        """End the process group of a child when thrown."""
        self._children.append(child)
        if self.thrown:  # the signal came before the child was started
            self.throw()

    def unanswered(self, request: Start | None) -> None:
        """Set the start request that has no response yet; None after the response.

        When thrown, the request is sent again: because of its token, the response has the execution to stop.
        """
        self._unanswered = request

    @contextlib.contextmanager
    def starting(self, request: Start) -> Iterator[None]:
        """Mark a start call as being made; a timeout that interrupts it leaves it without a response."""
        self.execution_arn = None
        self.unanswered(request)
        try:
            yield
        except Exception:
            self.unanswered(None)  # there is a response, or a fault, which the caller handles
            raise
        self.unanswered(None)

    def throw(self) -> None:
        """Called by on_kill. An execution that is not known yet is stopped by `execute` when it sees `thrown`."""
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
