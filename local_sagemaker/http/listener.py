"""waitress with limits, so that idle, slow and oversized clients do not affect others."""

from __future__ import annotations

import json
import re
import resource
import time
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import BadRequest

from local_sagemaker.errors import StartError

THREADS = 16
MAX_CONNECTIONS = 1500
"""Beyond this, a new connection replaces the one that has been idle longest. Each adds 3 µs to every request."""
MAX_BODY = 8 * 1024 * 1024
"""Maximum bytes of a request; definitions and log events have at most 1 MB."""
_FREE_BODY = 64 * 1024
"""Maximum bytes of a request that does not use the server's access key."""
_MAX_DISCARD = 2**30
"""Up to this size, a rejected body is read and discarded, so that the client gets a response instead of a reset."""
_REQUEST_SECONDS = 60.0
"""The time between the first and last byte of a request."""
_KEY = re.compile(r"Credential=([^/,\s]+)/")


class _Refusal(BadRequest):  # type: ignore[misc]
    """An error response in the format of AWS's JSON services."""

    def __init__(self, status: int, reason: str, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = status, reason
        self._name = code

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return status line, headers and body."""
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", self._name)]
        body = json.dumps({"__type": self._name, "message": self.body}).encode()
        return f"{self.code} {self.reason}", headers, body


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Rejects requests by their headers, before reading the body."""

    access_key = ""
    expect_continue: bool

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.began = time.time()
        self._is_admitted = False
        self._discard = 0

    def received(self, data: bytes) -> int:
        """Process bytes; return how many belong to this request."""
        if self._discard:
            taken = min(len(data), self._discard)
            self._discard -= taken
            self.completed = not self._discard
            return taken
        taken = int(super().received(data))
        if self.completed:  # there is no body to ask for
            self.expect_continue = False
        if self.headers_finished and not self._is_admitted and not self.empty:
            self._is_admitted = True
            if (refusal := self._refusal()) is not None:
                self._refuse(refusal)
        return taken

    def _refusal(self) -> _Refusal | None:
        if self.content_length > MAX_BODY:
            text = f"The request has {self.content_length} bytes, at most {MAX_BODY} are allowed."
            return _Refusal(413, "Payload Too Large", "RequestEntityTooLargeException", text)
        key = _KEY.search(self.headers.get("AUTHORIZATION", ""))
        if (self.content_length > _FREE_BODY or self.chunked) and (key is None or key[1] != self.access_key):
            text = "The security token included in the request is invalid."
            return _Refusal(403, "Forbidden", "UnrecognizedClientException", text)
        return None

    def _refuse(self, refusal: _Refusal) -> None:
        self.error = refusal
        waits = self.expect_continue  # the client sends the body only after 100 Continue, which it will not get
        self.expect_continue = False
        self._discard = 0 if waits or self.content_length > _MAX_DISCARD else self.content_length
        self.completed = not self._discard


class _Server(TcpWSGIServer):  # type: ignore[misc]
    """Always accepts connections: at the limit, it closes an idle one."""

    def __init__(self, application: WSGIApplication, parser: type[_Parser], **options: object) -> None:
        self.channel_class = type("Channel", (HTTPChannel,), {"parser_class": parser})
        super().__init__(application, **options)
        self._most = min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 3 // 4)

    def handle_accept(self) -> None:
        """Accept a connection."""
        if len(self.active_channels) >= self._most:
            idle = [channel for channel in self.active_channels.values() if not channel.requests]
            if idle:
                min(idle, key=lambda channel: channel.last_activity).handle_close()
        super().handle_accept()

    def maintenance(self, now: float) -> None:
        """Close connections that are idle or send a request too slowly."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            if channel.request is not None and now - channel.request.began > _REQUEST_SECONDS:
                channel.will_close = True


class Listener:
    """The HTTP port; bound before the other parts start, so that a port in use is reported at once."""

    def __init__(self, address: str, port: int, access_key: str) -> None:
        """Listen at a numeric address; StartError if the port is in use."""
        self._application: WSGIApplication | None = None
        options = Adjustments(
            host=address,
            port=port,
            threads=THREADS,
            connection_limit=10 * MAX_CONNECTIONS,
            asyncore_use_poll=True,
            cleanup_interval=10,
            max_request_header_size=64 * 1024,
            max_request_body_size=MAX_BODY + 1,
            ident="local_sagemaker",
            clear_untrusted_proxy_headers=True,
        )
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(THREADS)
        parser = type("Parser", (_Parser,), {"access_key": access_key})
        try:
            self._server = _Server(
                self._dispatch, parser, map={}, dispatcher=dispatcher, adj=options, sockinfo=options.listen[0]
            )
        except OSError as error:
            raise StartError(f"port {port} cannot be used ({error.strerror}): choose another with --port") from None
        self.effective_port = int(self._server.effective_port)

    def _dispatch(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._application is None:
            start_response("503 Service Unavailable", [("Content-Length", "0"), ("Retry-After", "1")])
            return [b""]
        return self._application(environ, start_response)

    def set_application(self, application: WSGIApplication) -> None:
        """Set the WSGI application; requests that arrive earlier get 503."""
        self._application = application

    def run(self) -> None:
        """Serve until the process ends."""
        self._server.run()

    def close(self) -> None:
        """Close the port."""
        self._server.close()
