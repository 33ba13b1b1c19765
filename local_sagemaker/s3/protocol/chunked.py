"""Decodes bodies in aws-chunked encoding, and checks the signatures of chunks and trailers.

Source: the service's pages "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
Chunks" and "... Including Trailing Headers".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.protocol.authentication import Caller

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
KINDS = (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER)

_EMPTY = hashlib.sha256(b"").hexdigest()
_MAX_LINE = 16 * 1024


class Decoder:
    """Decodes a body that arrives in pieces of any size; `trailers` are complete after `finish`."""

    def __init__(self, caller: Caller) -> None:
        self.trailers: dict[str, str] = {}
        self._caller = caller
        self._signed = caller.payload != UNSIGNED_TRAILER
        self._previous = caller.signature
        self._line = bytearray()
        self._left = -1
        """Bytes left in the chunk, including its line end; -1 if a line comes next."""
        self._claimed = ""
        self._digest = hashlib.sha256()
        self._at_trailers = False
        self._trailer_lines: list[bytes] = []
        self._ended = False

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """Yield the content in the next piece of the body."""
        view = memoryview(data)
        while view and not self._ended:
            if self._left > 2:
                content = view[: self._left - 2]
                self._left -= len(content)
                view = view[len(content) :]
                if self._signed:
                    self._digest.update(content)
                yield content
            elif self._left > 0:
                if view[0] != b"\r\n"[2 - self._left]:
                    raise _malformed()
                self._left -= 1
                view = view[1:]
                if not self._left:
                    self._end_chunk()
            else:
                view = self._read_line(view)

    def finish(self) -> None:
        """Check that the body is complete."""
        if not self._ended:
            raise S3Error("IncompleteBody", "The request body terminated unexpectedly")

    def _read_line(self, view: memoryview) -> memoryview:
        end = bytes(view[:_MAX_LINE]).find(b"\n")
        taken = len(view) if end < 0 else end + 1
        self._line += view[:taken]
        if len(self._line) > _MAX_LINE:
            raise _malformed()
        if end >= 0:
            line = bytes(self._line).rstrip(b"\r\n")
            self._line.clear()
            if self._at_trailers:
                self._trailer_line(line)
            else:
                self._chunk_line(line)
        return view[taken:]

    def _chunk_line(self, line: bytes) -> None:
        size, _, extension = line.partition(b";")
        name, _, signature = extension.partition(b"=")
        try:
            length = int(size, 16)
        except ValueError:
            raise _malformed() from None
        if length < 0 or (self._signed and name.strip() != b"chunk-signature"):
            raise _malformed()
        self._claimed = signature.decode("latin-1").strip()
        if length:
            self._left = length + 2
            return
        self._end_chunk()
        self._at_trailers = True

    def _end_chunk(self) -> None:
        self._left = -1
        if self._signed:
            self._check(f"AWS4-HMAC-SHA256-PAYLOAD\n{self._before()}\n{_EMPTY}\n{self._digest.hexdigest()}")
            self._digest = hashlib.sha256()

    def _trailer_line(self, line: bytes) -> None:
        if line:
            name, _, value = line.decode("utf-8", "replace").partition(":")
            name, value = name.strip().lower(), value.strip()
            if name == "x-amz-trailer-signature":
                self._claimed = value
            else:
                self._trailer_lines.append(f"{name}:{value}\n".encode())
                self.trailers[name] = value
            if len(self._trailer_lines) > 20:
                raise _malformed()
            return
        if self._caller.payload == SIGNED_TRAILER:
            digest = hashlib.sha256(b"".join(self._trailer_lines)).hexdigest()
            self._check(f"AWS4-HMAC-SHA256-TRAILER\n{self._before()}\n{digest}")
        self._ended = True

    def _before(self) -> str:
        return f"{self._caller.moment}\n{self._caller.scope}\n{self._previous}"

    def _check(self, text: str) -> None:
        expected = hmac.digest(self._caller.signing_key, text.encode(), "sha256").hex()
        if not hmac.compare_digest(expected, self._claimed.encode("ascii", "replace").decode()):
            message = (
                "The request signature we calculated does not match the signature you provided: a chunk was changed."
            )
            raise S3Error("SignatureDoesNotMatch", message)
        self._previous = expected


def _malformed() -> S3Error:
    return S3Error("InvalidRequest", "The body is not in aws-chunked encoding")
