"""Reads small objects directly from the folder behind S3."""

from __future__ import annotations

from pathlib import Path

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.storage import keys
from local_sagemaker.s3.storage.listing import first_key


class S3ReadError(Exception):
    """The object cannot be read; the message says why."""


def object_path(s3_dir: Path, uri: str) -> Path:
    """The file of an S3 URI; S3ReadError if it would be outside the bucket's folder."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not keys.is_bucket_name(bucket):
        raise S3ReadError(f"'{uri[:200]}' is not an S3 URI")
    try:
        names = keys.file_names(key)
    except S3Error as error:
        raise S3ReadError(f"'{uri[:200]}' does not name an object: {error.message}") from None
    path = (s3_dir / bucket).joinpath(*names)
    if not path.is_file() and path.with_name(keys.aside(names[-1])).is_file():
        path = path.with_name(keys.aside(names[-1]))
    if not path.resolve().is_relative_to((s3_dir / bucket).resolve()):
        raise S3ReadError(f"'{uri[:200]}' leads out of its bucket")
    return path


def read_object(s3_dir: Path, uri: str, *, limit: int) -> bytes:
    """The content of an object; S3ReadError if it has more than `limit` bytes."""
    path = object_path(s3_dir, uri)
    try:
        if not path.is_file():  # reading a FIFO would block
            raise S3ReadError(f"'{uri}' cannot be read: there is no such object")
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise S3ReadError(f"'{uri}' cannot be read: {error.strerror}") from None
    if len(content) > limit:
        raise S3ReadError(f"'{uri}' is larger than {limit} bytes")
    return content


def has_objects(s3_dir: Path, uri: str) -> bool:
    """Whether any object's URI starts with `uri`, which may be just a bucket."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not keys.is_bucket_name(bucket):
        return False
    return first_key(s3_dir / bucket, prefix) is not None
