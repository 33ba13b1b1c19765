"""Incremental digests of a body, and the checksum of a multipart upload."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5")
"""The service also has XXHASH."""
_WHOLE_ONLY = ("CRC64NVME",)
"""These have only a checksum of the full object, no composite of the parts' checksums."""
_COMBINED = ("CRC32", "CRC32C", "CRC64NVME")
_HASHLIB = {"SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512", "MD5": "md5"}
_ANYCRC = {"CRC32": "CRC32", "CRC32C": "CRC32C", "CRC64NVME": "CRC64-NVME"}


class Digest(Protocol):
    """hashlib's interface, as far as it is used here."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add data."""

    def digest(self) -> bytes:
        """Return the digest of all data so far."""


class _CrcModel(Protocol):
    def calc(self, data: bytes | memoryview, crc: int, /) -> int: ...

    def combine(self, crc1: int, crc2: int, len2: int, /) -> int: ...


_Calculate = Callable[[bytes | memoryview, int], int]


@cache
def _model(algorithm: str) -> _CrcModel:
    import anycrc

    model: _CrcModel = anycrc.Model(_ANYCRC[algorithm])
    return model


class _Crc:
    """A CRC with hashlib's interface."""

    def __init__(self, algorithm: str) -> None:
        self._calculate: Callable[[bytes | memoryview, int], int] = (
            zlib.crc32 if algorithm == "CRC32" else _model(algorithm).calc
        )
        self._value = 0
        self._bytes = 8 if algorithm == "CRC64NVME" else 4

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._calculate(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._bytes, "big")


def digest(algorithm: str) -> Digest:
    """A new digest of one of ALGORITHMS."""
    if algorithm in _HASHLIB:
        return hashlib.new(_HASHLIB[algorithm], usedforsecurity=False)
    return _Crc(algorithm)


def encoded(value: bytes) -> str:
    """A checksum in base64, as in headers and XML."""
    return base64.b64encode(value).decode()


def type_of_parts(algorithm: str, wanted: str | None) -> str | None:
    """The checksum type of a multipart upload, COMPOSITE or FULL_OBJECT; None if the algorithm does not support it."""
    allowed = ["FULL_OBJECT"] if algorithm in _WHOLE_ONLY else ["COMPOSITE"]
    if algorithm in _COMBINED and "FULL_OBJECT" not in allowed:
        allowed.append("FULL_OBJECT")
    if wanted is None:
        return allowed[0]
    return wanted if wanted in allowed else None


def of_parts(algorithm: str, kind: str, parts: Sequence[tuple[str, int]]) -> str:
    """Combine the parts' (checksum, size): the full object's checksum, or `<checksum of the checksums>-<count>`."""
    values = [base64.b64decode(value) for value, _size in parts]
    if kind == "COMPOSITE":
        whole = digest(algorithm)
        whole.update(b"".join(values))
        return f"{encoded(whole.digest())}-{len(parts)}"
    combined = int.from_bytes(values[0], "big")
    for value, (_, size) in zip(values[1:], parts[1:], strict=True):
        combined = _model(algorithm).combine(combined, int.from_bytes(value, "big"), size)
    return encoded(combined.to_bytes(len(values[0]), "big"))
