"""System calls that Python does not provide: namespaces, mounts and death signals."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWPID = 0x20000000
CLONE_NEWUSER = 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 1 << 18
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def die_with_parent(signal_number: int) -> None:
    """Ask the kernel for a signal when the thread that started this process ends. Does nothing outside Linux."""
    if sys.platform == "linux":
        _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants. Does nothing outside Linux."""
    if sys.platform == "linux":
        _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def enter_namespaces(flags: int) -> None:
    """Enter new namespaces; without root, in a user namespace that keeps the uid and gid."""
    uid, gid = os.getuid(), os.getgid()
    if uid != 0:
        flags |= CLONE_NEWUSER
    _check(_libc.unshare(flags), "unshare")
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, options)]
    _check(_libc.mount(words[0], words[1], words[2], flags, words[3]), f"mount {target}")


def make_mounts_private() -> None:
    """Do not propagate later mounts to other namespaces."""
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)


def mount_proc() -> None:
    """Mount /proc for this PID namespace."""
    _mount("proc", "/proc", "proc", 0)


def bind(source: str, target: str) -> None:
    """Bind-mount `source` to `target`."""
    _mount(source, target, None, _MS_BIND | _MS_REC)


def mount_container_folder(source: str) -> None:
    """Bind-mount `source` to /opt/ml, even if /opt/ml does not exist and /opt is not writable.

    In that case, a small tmpfs replaces /opt, and everything in /opt is bind-mounted into it.
    """
    if not Path("/opt/ml").is_dir():
        _replace_opt()
    bind(source, "/opt/ml")


def _replace_opt() -> None:
    children = [entry for entry in Path("/opt").iterdir() if not entry.is_symlink()] if Path("/opt").is_dir() else []
    links = [entry for entry in Path("/opt").iterdir() if entry.is_symlink()] if Path("/opt").is_dir() else []
    targets = {link: link.readlink() for link in links}
    handles = {child: os.open(child, os.O_PATH) for child in children}
    folders = {child for child in children if child.is_dir()}
    _mount("tmpfs", "/opt", "tmpfs", 0, "size=1m,mode=755")
    for child, handle in handles.items():
        if child in folders:
            child.mkdir()
        else:
            child.touch()
        bind(f"/proc/self/fd/{handle}", str(child))
        os.close(handle)
    for link, target in targets.items():
        link.symlink_to(target)
    Path("/opt/ml").mkdir()


def set_host_name(name: str) -> None:
    """Set the host name of this UTS namespace."""
    encoded = name.encode()
    _check(_libc.sethostname(encoded, len(encoded)), "sethostname")
