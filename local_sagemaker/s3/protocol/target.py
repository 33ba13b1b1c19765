"""A request's bucket, key and query, decoded exactly once from the bytes that the client signed."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_plus, unquote_to_bytes

from local_sagemaker.s3.errors import S3Error


@dataclass(frozen=True)
class Target:
    """`path` and `query` are decoded. `raw_path` is as sent; `raw_resource` includes a bucket in the host name."""

    raw_path: str
    raw_resource: str
    path: str
    query: tuple[tuple[str, str], ...]
    bucket: str
    key: str

    @property
    def level(self) -> str:
        """`service`, `bucket` or `object`."""
        return "object" if self.key else "bucket" if self.bucket else "service"


def parse(raw: str, host: str) -> Target:
    """Parse a request's target; the bucket may be in the host name (`bucket.localhost`). InvalidURI if malformed."""
    if not raw.startswith("/"):  # the absolute form that proxies get: http://host/path
        scheme, mark, rest = raw.partition("://")
        if scheme not in ("http", "https") or not mark:
            raise _invalid()
        raw = "/" + rest.partition("/")[2]
    raw_path, _, raw_query = raw.partition("?")
    path = _decode(raw_path)
    name = host.rsplit(":", 1)[0]
    if name.endswith(".localhost"):
        bucket, key = name.removesuffix(".localhost"), path[1:]
        resource = f"/{bucket}{raw_path}"
    else:
        bucket, _, key = path[1:].partition("/")
        resource = raw_path
    return Target(raw_path, resource, path, tuple(_pairs(raw_query)), bucket, key)


def _pairs(raw_query: str) -> list[tuple[str, str]]:
    pairs = [item.partition("=") for item in raw_query.split("&") if item]
    return [(_decode_plus(name), _decode_plus(value)) for name, _, value in pairs]


def _decode(text: str) -> str:
    try:
        return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        raise _invalid() from None


def _decode_plus(text: str) -> str:
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise _invalid() from None


def _invalid() -> S3Error:
    return S3Error("InvalidURI", "Couldn't parse the specified URI.")
