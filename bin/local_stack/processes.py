"""Child processes that always end with the parent.

Each child has its own session, gets SIGTERM from the kernel if its parent dies (Linux), and is ended together with its
descendants: Airflow's scheduler and API server do not end their own children.
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
    """A started process and its log file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 15) -> str:
        """The last lines of the process's output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class ProcessSet:
    """A group of processes; as a context manager, it ends all of them."""

    logs: Path
    children: list[Child] = field(default_factory=list)

    def __enter__(self) -> ProcessSet:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Child:
        """Start `command`; its output goes to `<logs>/<name>.log`, which each start overwrites."""
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
        """Raise StackError if a process has ended."""
        for child in self.children:
            code = child.process.poll()
            if code is not None:
                raise StackError(
                    f"{child.name} ended with exit code {code}. Its last lines ({child.log}):\n{child.tail()}"
                )

    def wait_until(self, ready: Callable[[], bool], *, what: str, seconds: float) -> None:
        """Poll `ready` until it is true; StackError if a process ends or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise StackError(f"{what} was not ready after {seconds:.0f} s; see the logs in {self.logs}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End all children and their descendants: SIGTERM, then SIGKILL after 12 seconds."""
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
        """The memory of all processes in bytes (proportional set size, which counts shared pages once)."""
        total = 0
        for child in self.children:
            with contextlib.suppress(psutil.Error):
                parent = psutil.Process(child.process.pid)
                for process in [parent, *parent.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):
                        total += process.memory_full_info().pss
        return total


def free_port() -> int:
    """A free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free_port(port: int, *, option: str) -> int:
    """Return `port` if it is free (0: any free port); StackError that names `option` if it is in use."""
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
