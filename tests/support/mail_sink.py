"""A mail server on loopback that stores its messages, and Airflow's connection to it."""

from __future__ import annotations

import email
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class MailSink(socketserver.ThreadingTCPServer):
    """The part of SMTP that a client needs to send a message; stores all messages."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MailHandler)
        self.messages: list[str] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


def text_of(raw: bytes) -> str:
    """Return a message's subject and its decoded parts."""
    message = email.message_from_bytes(raw)
    parts = [part.get_payload(decode=True) or b"" for part in message.walk() if not part.is_multipart()]
    return "\n".join([str(message["Subject"]), *(bytes(part).decode() for part in parts)])  # type: ignore[arg-type]


class MailHandler(socketserver.StreamRequestHandler):
    server: MailSink

    def handle(self) -> None:
        self.reply("220 sink")
        while line := self.rfile.readline():
            word = line.strip().upper().split(b" ")[0]
            if word == b"DATA":
                self.reply("354 go on")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                self.server.messages.append(text_of(b"".join(lines)))
                self.reply("250 kept")
            elif word == b"QUIT":
                self.reply("221 bye")
                return
            else:
                self.reply("250 fine")

    def reply(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mail_sink() -> Iterator[tuple[MailSink, str]]:
    """Run a server, and set AIRFLOW_CONN_SMTP_DEFAULT to it."""
    with MailSink() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@example.com"}
        yield server, json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": server.port, "extra": extra})
        server.shutdown()
