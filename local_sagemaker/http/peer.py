"""The local user at the other end of a connection, from the kernel's socket tables."""

from __future__ import annotations

from pathlib import Path
from wsgiref.types import WSGIEnvironment

_UID = 7
"""The column with the user id in /proc/net/tcp (proc(5), Linux)."""


def peer_uid(environ: WSGIEnvironment) -> int | None:
    """The id of the user whose socket sent this request; None if the kernel does not report it."""
    port = f":{int(environ.get('REMOTE_PORT') or 0):04X}"
    server = f":{int(environ.get('SERVER_PORT') or 0):04X}"
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[1].endswith(port) and fields[2].endswith(server):
                return int(fields[_UID])
    return None
