"""Keeps torch's TCPStore on loopback; imported in the job's Python as `_sagemaker_job_torch` once torch.distributed is.

A store listens on every address of the machine, and torchrun's agents unpickle what it holds: whoever reaches the port
runs code in the job. In a container of the service nobody else does; here the port must not leave the machine.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import ipaddress
import socket

_LOOPBACK = "127.0.0.1"


def install(distributed: object) -> None:
    """Wrap the store's constructor, in place: every module of torch has the same class."""
    store = getattr(distributed, "TCPStore", None)  # a torch may be built without it
    if store is None:
        return
    original = store.__init__

    @functools.wraps(original)
    def on_loopback(
        self: object,
        host_name: str,
        port: int,
        world_size: int | None = None,
        is_master: bool = False,
        *more: object,
        **options: object,
    ) -> None:
        host = loopback_host(host_name, serves=is_master)
        # more[3] is the listening socket where it is given by position
        if is_master and options.get("master_listen_fd") is None and (len(more) < 4 or more[3] is None):
            with contextlib.suppress(_PortTaken):
                descriptor, port = listening_socket(host, int(port))
                more, options = more[:3], {**_named(more[3:]), **options, "master_listen_fd": descriptor}
        original(self, host, port, world_size, is_master, *more, **options)

    store.__init__ = on_loopback


class _PortTaken(OSError):
    """By this process's own store, which torch then shares (multi_tenant); else torch fails at the same port."""


def _named(more: tuple[object, ...]) -> dict[str, object]:
    """The arguments from master_listen_fd on, by name."""
    return dict(zip(("master_listen_fd", "use_libuv"), more, strict=False))


def loopback_host(name: str, *, serves: bool) -> str:
    """`name` where it is on loopback, and for this machine's other names 127.0.0.1, where its stores listen instead."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return _LOOPBACK if serves else name
    addresses = [str(entry[4][0]) for entry in found]
    if any(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses):
        return name
    return _LOOPBACK if serves or any(map(_is_own, addresses)) else name


def _is_own(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def listening_socket(host: str, port: int) -> tuple[int, int]:
    """Listen at the loopback address of `host`; gives the descriptor and the port."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)  # localhost may be both; torch's clients try both
    family, _, _, _, address = next(
        entry for entry in found if ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback
    )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise _PortTaken(error.errno, error.strerror) from error
        raise
    bound = int(listener.getsockname()[1])
    return listener.detach(), bound
