"""Keeps torch's TCPStore on loopback. Jobs import it as `_sagemaker_job_torch` after torch.distributed.

A store listens on every address of the machine, and torchrun's agents unpickle its values: anyone who can connect to
the port can run code in the job. On SageMaker, nobody else can connect; here, the port must not be open to other
machines.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import ipaddress
import socket

_LOOPBACK = "127.0.0.1"


def install(distributed: object) -> None:
    """Wrap the store's constructor in place, since all modules of torch use the same class."""
    store = getattr(distributed, "TCPStore", None)  # torch can be built without it
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
        # more[3] is the listening socket if it is passed by position
        if is_master and options.get("master_listen_fd") is None and (len(more) < 4 or more[3] is None):
            with contextlib.suppress(_PortTaken):
                descriptor, port = listening_socket(host, int(port))
                more, options = more[:3], {**_named(more[3:]), **options, "master_listen_fd": descriptor}
        original(self, host, port, world_size, is_master, *more, **options)

    store.__init__ = on_loopback


class _PortTaken(OSError):
    """This process's store uses the port already, and torch shares it (multi_tenant); otherwise torch fails, too."""


def _named(more: tuple[object, ...]) -> dict[str, object]:
    """The arguments from master_listen_fd on, as keyword arguments."""
    return dict(zip(("master_listen_fd", "use_libuv"), more, strict=False))


def loopback_host(name: str, *, serves: bool) -> str:
    """`name` if it is loopback; 127.0.0.1 for this machine's other names, since its stores listen there instead."""
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
    """Listen at the loopback address of `host`; return the descriptor and the port."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)  # torch's clients try both families
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
