"""Receives a request's body: decodes it, and checks its size, digests and checksum against the headers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from local_sagemaker.s3.errors import S3Error, not_implemented
from local_sagemaker.s3.protocol import chunked
from local_sagemaker.s3.protocol.authentication import UNSIGNED, Caller
from local_sagemaker.s3.storage import checksums

_CHECKSUM_PREFIX = "x-amz-checksum-"


class Sink(Protocol):
    """Where the content goes."""

    def write(self, data: bytes | memoryview) -> None:
        """Append."""


class Buffer:
    """A small body in memory."""

    def __init__(self, limit: int) -> None:
        self.content = bytearray()
        self._limit = limit

    def write(self, data: bytes | memoryview) -> None:
        """Append; MaxMessageLengthExceeded beyond the limit."""
        self.content += data
        if len(self.content) > self._limit:
            raise S3Error("MaxMessageLengthExceeded", f"Your request was too big: at most {self._limit} bytes")


@dataclass(frozen=True)
class Received:
    """A checked body: its size, MD5 in hex, and the requested checksum."""

    size: int
    md5: str
    checksum: str | None


class Intake:
    """Processes the pieces of one body; called from worker threads, never concurrently."""

    def __init__(
        self,
        headers: Mapping[str, str],
        caller: Caller,
        sink: Sink,
        *,
        algorithm: str | None = None,
        max_bytes: int,
    ) -> None:
        """`algorithm` is a checksum to compute even if the client does not send it."""
        self._sink = sink
        self._size = 0
        self._max_bytes = max_bytes
        self._expected_size = _length(headers, caller)
        self._payload = caller.payload
        self._md5 = _decoded_md5(headers)
        self._decoder = chunked.Decoder(caller) if caller.payload in chunked.KINDS else None
        if self._decoder is None and caller.payload != UNSIGNED and caller.payload.startswith("STREAMING-"):
            raise not_implemented(f"The payload signature {caller.payload[:60]}")
        self._claimed, self._trailer = _claimed_checksum(headers)
        self.algorithm = self._claimed[0] if self._claimed else self._trailer or algorithm
        if algorithm and self.algorithm != algorithm:
            text = (
                f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, actual checksum Type:"
            )
            raise S3Error("InvalidRequest", f"{text} {str(self.algorithm).lower()}")
        self._digests: dict[str, checksums.Digest] = {"MD5": checksums.digest("MD5")}
        if self._decoder is None and self._payload != UNSIGNED:
            self._digests["SHA256"] = checksums.digest("SHA256")
        if self.algorithm and self.algorithm not in self._digests:
            self._digests[self.algorithm] = checksums.digest(self.algorithm)

    def feed(self, pieces: Iterable[bytes]) -> None:
        """Process the next pieces of the body as sent."""
        for piece in pieces:
            for content in self._decoder.feed(piece) if self._decoder else (piece,):
                self._size += len(content)
                if self._size > self._max_bytes:
                    raise too_large(self._size, self._max_bytes)
                if self._expected_size is not None and self._size > self._expected_size:
                    raise S3Error("IncompleteBody", "The body has more bytes than its length header says")
                for digest in self._digests.values():
                    digest.update(content)
                self._sink.write(content)

    def finish(self) -> Received:
        """Compare with the client's claims; S3Error if the body differs from them."""
        if self._decoder:
            self._decoder.finish()
        if self._expected_size is not None and self._size != self._expected_size:
            raise S3Error("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length")
        digests = {name: digest.digest() for name, digest in self._digests.items()}
        if self._decoder is None and self._payload != UNSIGNED:
            actual = digests["SHA256"].hex()
            if not hmac.compare_digest(actual, self._payload.encode("ascii", "replace").decode()):
                text = "The provided 'x-amz-content-sha256' header does not match what was computed."
                raise S3Error("XAmzContentSHA256Mismatch", text, {"S3ComputedContentSHA256": actual})
        if self._md5 is not None and self._md5 != digests["MD5"]:
            raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")
        checksum = checksums.encoded(digests[self.algorithm]) if self.algorithm else None
        self._compare_checksum(checksum)
        return Received(self._size, digests["MD5"].hex(), checksum)

    def _compare_checksum(self, actual: str | None) -> None:
        claimed = self._claimed[1] if self._claimed else None
        if self._trailer and self._decoder:
            claimed = self._decoder.trailers.get(_CHECKSUM_PREFIX + self._trailer.lower())
            if claimed is None:
                raise S3Error("MalformedTrailerError", "The request contained trailing data that was not well-formed")
        if claimed is not None and claimed != actual:
            text = f"The {self.algorithm} you specified did not match the calculated checksum."
            raise S3Error("BadDigest", text)


def too_large(size: int, limit: int) -> S3Error:
    """The error for a body that is too large."""
    text = "Your proposed upload exceeds the maximum allowed size"
    return S3Error("EntityTooLarge", text, {"ProposedSize": str(size), "MaxSizeAllowed": str(limit)})


def _length(headers: Mapping[str, str], caller: Caller) -> int | None:
    name = "x-amz-decoded-content-length" if caller.payload in chunked.KINDS else "content-length"
    text = headers.get(name, "")
    if not text and "transfer-encoding" not in headers and name == "content-length":
        return 0
    if not (text.isascii() and text.isdecimal()):
        raise S3Error("MissingContentLength", f"You must provide the {name} HTTP header.")
    return int(text)


def _decoded_md5(headers: Mapping[str, str]) -> bytes | None:
    text = headers.get("content-md5")
    if text is None:
        return None
    value = _decoded(text)
    if value is None or len(value) != hashlib.md5(usedforsecurity=False).digest_size:
        raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return value


def _claimed_checksum(headers: Mapping[str, str]) -> tuple[tuple[str, str] | None, str | None]:
    """The algorithm and value of a checksum header, and the algorithm of a checksum in the trailer."""
    found = [
        (name, headers[header])
        for name in checksums.ALGORITHMS
        if (header := _CHECKSUM_PREFIX + name.lower()) in headers
    ]
    trailer = headers.get("x-amz-trailer", "").strip().lower()
    if trailer and not trailer.startswith(_CHECKSUM_PREFIX):
        raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    if len(found) + bool(trailer) > 1:
        text = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        raise S3Error("InvalidRequest", text)
    if trailer:
        return None, algorithm_named(trailer.removeprefix(_CHECKSUM_PREFIX))
    if not found:
        return None, None
    name, text = found[0]
    value = _decoded(text)
    if value is None or len(value) != len(checksums.digest(name).digest()):
        raise S3Error("InvalidRequest", f"Value for x-amz-checksum-{name.lower()} header is invalid.")
    return (name, text), None


def algorithm_named(text: str) -> str:
    """The algorithm's name in checksums.ALGORITHMS; S3Error naming one that is not supported."""
    if text.upper() in checksums.ALGORITHMS:
        return text.upper()
    if text.upper().startswith("XXHASH"):
        raise not_implemented(f"The checksum algorithm {text.upper()[:20]}")
    raise S3Error(
        "InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types"
    )


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
