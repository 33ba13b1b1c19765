"""Where the server listens, where this machine's clients reach it, and by which names they may call it."""

from __future__ import annotations

import ipaddress
import socket

from local_sagemaker.errors import StartError


def listening_address(host: str) -> str:
    """The numeric address of what `--host` names, IPv4 where it has both; StartError when it has none."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(f"--host {host} has no address ({error.strerror})") from None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches a numeric address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def family(address: str) -> socket.AddressFamily:
    """The kind of socket that a numeric address needs."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def url(address: str, port: int) -> str:
    """The http address by which clients on this machine reach a server that listens there."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def is_own_name(host: str) -> bool:
    """Whether the Host of a request calls this machine by a name or address of loopback.

    Other names, too, may be made to point here: a page of a foreign site would then be of the same origin as the server
    (DNS rebinding). `localhost` and what is below it never leave the machine (RFC 6761).
    """
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
