"""A proxy between a client and the local SageMaker that injects faults at named points and counts calls by action.

Faults: `throttle`, `error500`, `quota`, `conflict`, `expired` answer themselves; `reset` closes the connection before
the server has seen the request, `lose_reply` after it has acted, `cut_reply` right behind the reply's headers;
`hold_request` and `hold_reply` stop there until `release()`, so that a test can kill the client at that very point.
`hold_repeat` holds the request too, and then gives the answer that the action's last forwarded request got, as a
service does that knows its token.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

ANSWERS = {
    "throttle": (400, "ThrottlingException", "Rate exceeded"),
    "error500": (500, "InternalFailure", "An internal error has occurred"),
    "quota": (400, "ResourceLimitExceeded", "The account-level service limit has been reached"),
    "conflict": (400, "ConflictException", "Somebody else is changing this"),
    "expired": (400, "ExpiredTokenException", "The security token included in the request is expired"),
}


@dataclass
class Fault:
    """One fault on an action; `times` how often it strikes."""

    action: str
    kind: str
    times: int = 1
    reached: threading.Event = field(default_factory=threading.Event)
    forwarded: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self.released.set()


class FaultProxy:
    """Use as a context manager; `url` is what clients talk to instead of the server."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self.target = (parts.hostname or "", parts.port or 80)
        self.calls: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        """The last answer of the server by action."""
        self.watch: Callable[[str, Mapping[str, str], bytes], None] = lambda *_: None
        """Called with action, headers and body of each request."""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FaultProxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for fault in self.faults:
            fault.release()
        self._server.shutdown()
        self._server.server_close()

    def inject(self, action: str, kind: str, times: int = 1) -> Fault:
        fault = Fault(action, kind, times)
        with self._lock:
            self.faults.append(fault)
        return fault

    def strike(self, action: str) -> Fault | None:
        with self._lock:
            self.calls[action] += 1
            for fault in self.faults:
                if fault.action in (action, "*") and fault.times > 0:
                    fault.times -= 1
                    fault.reached.set()
                    return fault
        return None

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.target, timeout=120)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            target = self.headers.get("X-Amz-Target")
            action = target.rpartition(".")[2] if target else f"{self.command} {self.path}"
            proxy.watch(action, dict(self.headers), body)
            fault = proxy.strike(action)
            kind = fault.kind if fault else ""
            if kind in ANSWERS:
                status, code, text = ANSWERS[kind]
                self._answer(status, {}, json.dumps({"__type": code, "message": text}).encode())
                return
            if fault and kind in {"hold_request", "hold_repeat"}:
                fault.released.wait(120)
            if kind == "hold_repeat":
                self._answer(*proxy.answers[action])
                return
            if kind == "reset":
                self.close_connection = True
                self.connection.close()
                return
            answer = status, headers, content = proxy.forward(self.command, self.path, dict(self.headers), body)
            proxy.answers[action] = answer
            if fault:
                fault.forwarded.set()
            if fault and kind == "hold_reply":
                fault.released.wait(120)
            if kind == "lose_reply":
                self.close_connection = True
                self.connection.close()
                return
            self._answer(status, headers, content, cut=kind == "cut_reply")

        def _answer(self, status: int, headers: dict[str, str], content: bytes, *, cut: bool = False) -> None:
            try:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                        self.send_header(name, value)
                self.send_header("Content-Type", headers.get("Content-Type", "application/x-amz-json-1.1"))
                length = headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                self.close_connection |= cut
                self.wfile.write(b"" if cut else content)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _serve

    return Handler
