"""The S3 server alone, as a real process over a real folder, and requests that no client library makes."""

from __future__ import annotations

import functools
import hashlib
import http.client
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from local_sagemaker.s3.server import S3Server, listen, port_of
from local_sagemaker.types import BotoClient

ACCESS_KEY, SECRET_KEY = "AKIALOCALTEST", "local/secret+key"


@functools.cache
def _session() -> boto3.Session:
    return boto3.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str:
        """The error's code."""
        return self.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


class LocalS3:
    """A running server; servers may serve the same folder one after another."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        self.folder = folder / "s3"
        self.log_file = folder / "s3.log"
        listener = listen(host, port)
        assert listener is not None
        self.port = port_of(listener)
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._server = S3Server(
            self.folder, listener, access_key=ACCESS_KEY, secret_key=SECRET_KEY, log_file=self.log_file, **options
        )
        self._server.start()

    @property
    def pid(self) -> int:
        """Id of the current server process."""
        process = self._server._process
        assert process is not None
        return process.pid

    def kill(self) -> None:
        """Kill the process; another one is started automatically."""
        os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the server."""
        self._server.stop()

    def client(self, region: str = "us-east-1", **options: object) -> BotoClient:
        """Return a boto3 client with boto3's default settings, except for retries."""
        config = Config(**{"retries": {"max_attempts": 0}, "inject_host_prefix": False, **options})
        address = f"http://{self.address}"
        made: BotoClient = _session().client("s3", endpoint_url=address, region_name=region, config=config)
        return made

    def signed(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        payload: str | None = None,
        secret_key: str = SECRET_KEY,
    ) -> dict[str, str]:
        """Return the headers of a signed request; `path` is sent unchanged."""
        request = AWSRequest(method, f"http://{self.address}{path}", headers=dict(headers or {}), data=body)
        request.context["payload_signing_enabled"] = True
        if payload is not None:
            request.headers["X-Amz-Content-SHA256"] = payload
        signer = S3SigV4Auth(Credentials(ACCESS_KEY, secret_key), "s3", "us-east-1")
        if payload is not None:
            signer.payload = lambda _request: payload
        signer.add_auth(request)
        return dict(request.headers.items())

    def request(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None, **signing: Any
    ) -> Answer:
        """Send a signed request on a new connection."""
        signed = self.signed(method, path, headers=headers, body=body, **signing)
        return self.send(method, path, {"Content-Length": str(len(body)), **signed}, body)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """One request just so."""
        parts = urlsplit(f"http://{self.address}")
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def contents(self, bucket: str) -> dict[str, str]:
        """Return the digests of a bucket's files by path."""
        folder = self.folder / bucket
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
