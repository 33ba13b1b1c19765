"""Child processes that are all ended, whatever ends the parent.

Each child leads a session of its own, gets SIGTERM from the kernel when its parent dies (Linux), and is ended together
with all that descends from it: Airflow's scheduler and API server leave theirs behind when they alone are signalled.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from local_stack.errors import StackError

PR_SET_PDEATHSIG = 1
TERMINATE_SECONDS = 12.0


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One started process and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 15) -> str:
        """The last lines that the process wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class ProcessSet:
    """The processes that belong together; a context manager that leaves none running."""

    logs: Path
    children: list[Child] = field(default_factory=list)

    def __enter__(self) -> ProcessSet:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Child:
        """Start `command`; its output goes to `<logs>/<name>.log`, anew at each start."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                list(command),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  (the parent has no threads yet)
            )
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def check(self) -> None:
        """Raise StackError when a process has ended that should still run."""
        for child in self.children:
            code = child.process.poll()
            if code is not None:
                raise StackError(
                    f"{child.name} ended with exit code {code}. Its last lines ({child.log}):\n{child.tail()}"
                )

    def wait_until(self, ready: Callable[[], bool], *, what: str, seconds: float) -> None:
        """Poll `ready` until it is true; StackError when a process ends meanwhile or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise StackError(f"{what} was not ready after {seconds:.0f} s; see the logs in {self.logs}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End every child and all that descends from it: SIGTERM, then SIGKILL for what is left after 12 seconds."""
        family: dict[int, psutil.Process] = {}
        for child in reversed(self.children):
            with contextlib.suppress(psutil.NoSuchProcess):
                parent = psutil.Process(child.process.pid)
                for process in [*parent.children(recursive=True), parent]:
                    family[process.pid] = process
        for process in family.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _gone, alive = psutil.wait_procs(list(family.values()), timeout=TERMINATE_SECONDS)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=5)
        for child in self.children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(timeout=1)
        self.children.clear()

    def memory(self) -> int:
        """Bytes of all processes together as proportional set size: shared pages are counted once."""
        total = 0
        for child in self.children:
            with contextlib.suppress(psutil.Error):
                parent = psutil.Process(child.process.pid)
                for process in [parent, *parent.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):
                        total += process.memory_full_info().pss
        return total


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free_port(port: int, *, option: str) -> int:
    """`port` itself when it is free (0: any free one); StackError naming `option` when it is taken."""
    if port == 0:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(
                f"port {port} on 127.0.0.1 cannot be used ({error.strerror}): "
                f"stop the process that uses it, or choose another with {option} PORT ({option} 0 picks a free one)"
            ) from error
    return port
