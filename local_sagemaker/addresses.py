"""The addresses that the server listens on, and the host names that clients may use."""

from __future__ import annotations

import ipaddress
import socket

from local_sagemaker.errors import StartError


def listening_address(host: str) -> str:
    """The numeric address of `--host`, preferably IPv4; StartError if it has none."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(f"--host {host} has no address ({error.strerror})") from None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])


def is_loopback(address: str) -> bool:
    """Whether a numeric address is loopback."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def family(address: str) -> socket.AddressFamily:
    """The address family of a numeric address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def url(address: str, port: int) -> str:
    """The URL at which clients on this machine reach a server that listens on an address."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def is_own_name(host: str) -> bool:
    """Whether a request's Host is a loopback name or address.

    This prevents DNS rebinding: a foreign site could point its name to this machine, and its pages would then have the
    server's origin. `localhost` and its subdomains always refer to this machine (RFC 6761).
    """
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
