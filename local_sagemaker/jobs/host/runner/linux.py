"""The few kernel calls that Python does not offer: namespaces, mounts, death signals."""

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
    """Have the kernel send a signal when the thread that started this process ends (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def enter_namespaces(flags: int) -> None:
    """Enter new namespaces; without root by a user namespace in which the own uid and gid stay what they are."""
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
    """Keep every later mount of this namespace to itself."""
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)


def mount_proc() -> None:
    """Show the processes of this PID namespace, and only them, in /proc."""
    _mount("proc", "/proc", "proc", 0)


def bind(source: str, target: str) -> None:
    """Make `target` show what lies at `source`."""
    _mount(source, target, None, _MS_BIND | _MS_REC)


def mount_container_folder(source: str) -> None:
    """Make /opt/ml show `source`, also where no /opt/ml exists and /opt cannot be written.

    There a small tmpfs takes the place of /opt, and everything that was in /opt is bound into it again.
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
    """Give this UTS namespace a host name."""
    encoded = name.encode()
    _check(_libc.sethostname(encoded, len(encoded)), "sethostname")
