"""Finds, signals and kills the processes of a host."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

_KILL_ROUNDS = 200


def _status(pid: int) -> dict[str, str]:
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def _parents() -> dict[int, int]:
    """Map each visible, running process to its parent."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 (names, not paths)
        if not name.isdigit():
            continue
        try:
            text = Path(f"/proc/{name}/stat").read_text(errors="replace")
        except OSError:
            continue
        state, parent = text.rpartition(")")[2].split()[:2]
        if state not in {"Z", "X"}:
            parents[int(name)] = int(parent)
    return parents


def count(root: int) -> int:
    """Count the running descendants of `root`; fast if `root` is process 1 of a PID namespace."""
    if root == 1:
        return sum(name.isdigit() for name in os.listdir("/proc")) - 1  # noqa: PTH208
    return len(descendants(root))


def descendants(root: int) -> dict[int, int]:
    """Map each running descendant of `root` to its parent."""
    parents = _parents()
    found: dict[int, int] = {}
    for pid in parents:
        chain, ancestor = [pid], parents[pid]
        while ancestor in parents and ancestor != root and ancestor not in chain:
            chain.append(ancestor)
            ancestor = parents[ancestor]
        if ancestor == root and pid != root:
            found[pid] = parents[pid]
    return found


def _handles_term(pid: int) -> bool:
    caught = int(_status(pid).get("SigCgt", "0"), 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def terminate(pid: int) -> bool:
    """Send SIGTERM to a container's first process, as the service does; return whether that process handles it.

    In a container, the kernel drops a signal that the first process does not handle. Here, that process is not the
    first one of its namespace and would be killed, so the signal is not sent.
    """
    heard = _handles_term(pid)
    if heard:
        _send(pid, signal.SIGTERM)
    return heard


def command_of(pid: int) -> str:
    """The command line of a process, shortened."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return str(pid)
    return b" ".join(words).decode("utf-8", "replace").strip()[:100]


def kill_all(root: int) -> dict[int, int]:
    """Kill all descendants of `root`: stop them first, so that they cannot fork faster than they are killed.

    Returns the wait statuses of the reaped children.
    """
    if root == 1:
        return _kill_namespace()
    ended: dict[int, int] = {}
    for _ in range(_KILL_ROUNDS):
        family = descendants(root)
        if not family:
            break
        for pid in family:
            _send(pid, signal.SIGSTOP)
        for pid in family:
            _send(pid, signal.SIGKILL)
        ended |= reap()
        time.sleep(0.005)
    return ended | reap()


def _kill_namespace() -> dict[int, int]:
    """Kill all other processes of this PID namespace in one system call, so that no fork can escape."""
    _send(-1, signal.SIGKILL)
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return ended
        ended[pid] = status


def reap() -> dict[int, int]:
    """Reap ended children without waiting; return their wait statuses by pid."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
