"""The first process of a host: mounts /opt/ml, starts the container's program, and ends all processes with it.

With a PID namespace it is process 1, so the kernel kills the host's other processes with it. Without one, it adopts
orphans (subreaper) and kills its descendants.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from local_sagemaker.jobs.host.runner import linux, processes
from local_sagemaker.jobs.host.runner.messages import HostConfig, Message

_CONTROL = 0
_CHECK_SECONDS = 1.0
_DEAF = (
    "local SageMaker: SIGTERM was sent only to the container's first process, as on AWS, which does not handle it:"
    " {command!r}. The job will be killed when the grace period ends; for a fix, see docs/guides/local-sagemaker.md."
)


@dataclass
class _State:
    main_pid: int
    status: int | None = None
    reason: str | None = None

    def note(self, ended: dict[int, int]) -> None:
        """Store the program's wait status if it has ended."""
        self.status = ended.get(self.main_pid, self.status)


def become_init(config: HostConfig, pump: int, report: int, output: int) -> NoReturn:
    """Run a host until its program ends; write notes, and then {"exit": ...} or {"error": ...}, to `report`.

    Standard input has the server's commands `term` and `kill`; it bypasses the runner, which may be busy with output.
    When it is closed (the server has ended), or `pump` is closed (the runner has ended), everything ends.
    """
    try:
        if config.pid_namespace:
            linux.die_with_parent(signal.SIGKILL)  # and the kernel ends the namespace with its first process
        linux.adopt_orphans()
        _arrange(config)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        state = _State(_start(config, output))
        os.close(output)
        _watch(state, pump, report, wake_read, config.max_processes)
        _finish(report, {"exit": state.status, "reason": state.reason})
    except BaseException as error:
        _finish(report, {"error": f"{type(error).__name__}: {error}"})
    os._exit(0)


def _finish(report: int, message: Message) -> None:
    processes.kill_all(os.getpid())
    _say(report, message)


def _say(report: int, message: Message) -> None:
    with contextlib.suppress(OSError):
        os.write(report, json.dumps(message).encode() + b"\n")


def _arrange(config: HostConfig) -> None:
    if not config.mount:
        return
    linux.make_mounts_private()
    if config.pid_namespace:
        linux.mount_proc()
    if config.hosts_file and Path("/etc/hosts").exists():
        linux.bind(config.hosts_file, "/etc/hosts")
    linux.mount_container_folder(config.ml)
    with contextlib.suppress(OSError):
        linux.set_host_name(config.host)


def _start(config: HostConfig, output: int) -> int:
    """Fork and execute the container's program; the exit status is 127 if that fails, as in a shell."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, 256)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.umask(0o022)  # a container's default; the server's is stricter, and so is the mode of the parent folder
        os.chdir(config.cwd)
        os.execvpe(config.argv[0], config.argv, config.env)  # noqa: S606 (no shell is the point)
    except OSError as error:
        os.write(2, f"{config.argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _watch(state: _State, pump: int, report: int, wake: int, max_processes: int) -> None:
    """Wait until the program has ended; the caller then ends its remaining processes, as in a container."""
    me = os.getpid()
    next_count = time.monotonic() + _CHECK_SECONDS
    while True:
        ready, _, _ = select.select([_CONTROL, pump, wake], [], [], _CHECK_SECONDS)
        if pump in ready:
            sys.exit(1)
        if _CONTROL in ready:
            command = os.read(_CONTROL, 64)
            if not command:
                sys.exit(1)
            if b"kill" in command:
                state.note(processes.kill_all(me))
            elif b"term" in command and state.status is None and not processes.terminate(state.main_pid):
                _say(report, {"note": _DEAF.format(command=processes.command_of(state.main_pid))})
        if wake in ready:
            os.read(wake, 4096)
        state.note(processes.reap())
        if state.status is not None:
            return
        if time.monotonic() >= next_count:
            next_count = time.monotonic() + _CHECK_SECONDS
            if processes.count(me) > max_processes:
                state.reason = f"more than {max_processes} processes"
                state.note(processes.kill_all(me))
