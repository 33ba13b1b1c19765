"""The digests of a body, made piece by piece, and the checksum of an object that was uploaded in parts."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5")
"""The service has XXHASH, too."""
_WHOLE_ONLY = ("CRC64NVME",)
"""Their checksum is always that of the whole object, never one made of the parts' checksums."""
_COMBINED = ("CRC32", "CRC32C", "CRC64NVME")
_HASHLIB = {"SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512", "MD5": "md5"}
_ANYCRC = {"CRC32": "CRC32", "CRC32C": "CRC32C", "CRC64NVME": "CRC64-NVME"}


@cache
def _model(algorithm: str) -> Any:
    import anycrc

    return anycrc.Model(_ANYCRC[algorithm])


class _Crc:
    """A CRC with hashlib's two methods."""

    def __init__(self, algorithm: str) -> None:
        self._calculate: Callable[[Any, int], int] = zlib.crc32 if algorithm == "CRC32" else _model(algorithm).calc
        self._value = 0
        self._bytes = 8 if algorithm == "CRC64NVME" else 4

    def update(self, data: bytes | memoryview) -> None:
        self._value = self._calculate(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._bytes, "big")


def digest(algorithm: str) -> Any:
    """A new digest of one of ALGORITHMS, with hashlib's `update` and `digest`."""
    if algorithm in _HASHLIB:
        return hashlib.new(_HASHLIB[algorithm], usedforsecurity=False)
    return _Crc(algorithm)


def encoded(value: bytes) -> str:
    """A checksum as headers and XML carry it."""
    return base64.b64encode(value).decode()


def type_of_parts(algorithm: str, wanted: str | None) -> str | None:
    """COMPOSITE or FULL_OBJECT for an upload in parts; None when the algorithm cannot be of the wanted type."""
    allowed = ["FULL_OBJECT"] if algorithm in _WHOLE_ONLY else ["COMPOSITE"]
    if algorithm in _COMBINED and "FULL_OBJECT" not in allowed:
        allowed.append("FULL_OBJECT")
    if wanted is None:
        return allowed[0]
    return wanted if wanted in allowed else None


def of_parts(algorithm: str, kind: str, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of an object from its parts' (checksum, size): of the whole, or `<of the checksums>-<count>`."""
    values = [base64.b64decode(value) for value, _size in parts]
    if kind == "COMPOSITE":
        whole = digest(algorithm)
        whole.update(b"".join(values))
        return f"{encoded(whole.digest())}-{len(parts)}"
    combined = int.from_bytes(values[0], "big")
    for value, (_, size) in zip(values[1:], parts[1:], strict=True):
        combined = _model(algorithm).combine(combined, int.from_bytes(value, "big"), size)
    return encoded(int(combined).to_bytes(len(values[0]), "big"))
