"""What `on_kill` of the operator ends: the compiler's processes and the execution that is known.

on_kill runs inside a signal handler of the task's main thread: it must not talk to the supervisor, nor share a client's
locks with the call it may have interrupted, so the stop call has a client of its own, made before it is needed.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.executions import Executions


class KillSwitch:
    """Thrown once, at any moment of a try; what begins later asks `thrown` or is ended when it is registered."""

    def __init__(self) -> None:
        self.thrown = False
        self.execution_arn: str | None = None
        """The execution to stop, once it is known."""
        self._stopper: Executions | None = None
        self._aws: Aws | None = None
        self._children: list[subprocess.Popen[bytes]] = []

    def interrupts(self, aws: Aws) -> None:
        """End the waits and retries of these calls when thrown."""
        self._aws = aws
        if self.thrown:
            aws.stopped.set()

    def stops_by(self, executions: Executions) -> None:
        """Stop the execution with this client when thrown; without it the execution is left running."""
        executions.aws.client("sagemaker")  # made now: in the signal handler no connection can be read
        self._stopper = executions

    def ends_child(self, child: subprocess.Popen[bytes]) -> None:
        """End the process group of a child when thrown."""
        self._children.append(child)
        if self.thrown:  # the signal came before the child did
            self.throw()

    def throw(self) -> None:
        """Called by on_kill. What is not known yet, `execute` stops itself when it sees `thrown`."""
        self.thrown = True
        if self._aws is not None:
            self._aws.stopped.set()
        for child in self._children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        if self.execution_arn is not None and self._stopper is not None:
            self._stopper.stop_from_signal_handler(self.execution_arn)
