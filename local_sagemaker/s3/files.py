"""Small objects read straight from the folder behind S3."""

from __future__ import annotations

from pathlib import Path


class S3ReadError(Exception):
    """The object cannot be read; the message says why."""


def object_path(s3_dir: Path, uri: str) -> Path:
    """The file of an S3 URI; refused when it would lie outside the bucket's folder."""
    if not uri.startswith("s3://"):
        raise S3ReadError(f"'{uri[:200]}' is no S3 URI")
    bucket, _, key = uri[5:].partition("/")
    parts = [part for part in key.split("/") if part]
    if not bucket or not parts or bucket in (".", "..") or "\0" in uri or any(part in (".", "..") for part in parts):
        raise S3ReadError(f"'{uri[:200]}' names no object")
    path = s3_dir / bucket / Path(*parts)
    if not path.resolve().is_relative_to((s3_dir / bucket).resolve()):
        raise S3ReadError(f"'{uri[:200]}' leads out of its bucket")
    return path


def read_object(s3_dir: Path, uri: str, *, limit: int) -> bytes:
    """The content of an object of at most `limit` bytes."""
    path = object_path(s3_dir, uri)
    try:
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise S3ReadError(f"'{uri}' cannot be read: {error.strerror}") from None
    if len(content) > limit:
        raise S3ReadError(f"'{uri}' is larger than {limit} bytes")
    return content
