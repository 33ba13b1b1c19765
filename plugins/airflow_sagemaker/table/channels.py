"""The Parquet files of a partition's channels, in a folder here or on S3, opened without downloading them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from airflow_sagemaker.contract import CHANNELS
from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.types import JsonObject

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER = 1 << 20
"""Minimum bytes of a read from S3, so that one call reads a footer, or the pages of a small column."""


class Calls(Protocol):
    """The methods of `aws.client.Aws` that are used here."""

    def call(self, service: str, operation: str, /, **arguments: object) -> JsonObject:
        """Make a call with retries."""

    def pages(self, service: str, operation: str, /, **arguments: object) -> Iterator[JsonObject]:
        """Return the listing pages of an operation."""


@dataclass(frozen=True)
class ChannelFile:
    """One Parquet file of a channel."""

    name: str
    """Its path or S3 URI, for messages."""
    size: int
    open: Callable[[], BinaryIO]
    """Returns a seekable file."""


ChannelFiles = dict[str, list[ChannelFile]]
"""The files of train, val and test; empty if there are none."""


def files_in_folder(folder: Path) -> ChannelFiles:
    """Return the channels' files below a folder on this machine."""
    return {channel: list(_local_files(folder / channel / f"{channel}.parquet")) for channel in CHANNELS}


def _local_files(path: Path) -> Iterator[ChannelFile]:
    paths = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    for file in paths:
        if file.name[0] not in "._":
            yield ChannelFile(str(file), file.stat().st_size, lambda file=file: file.open("rb"))  # type: ignore[misc]


def files_on_s3(aws: Calls, input_path: str) -> ChannelFiles:
    """Return the channels' files below an S3 URI: `train/train.parquet`, or the parts below such a name."""
    bucket, _, prefix = input_path.removeprefix("s3://").partition("/")
    found: ChannelFiles = {channel: [] for channel in CHANNELS}
    for channel in CHANNELS:
        key = f"{prefix.rstrip('/')}/{channel}/{channel}.parquet"
        for item in _listed(aws, bucket, key):
            part = item["Key"].removeprefix(key)
            name = item["Key"].rpartition("/")[2]
            # not `train.parquet.bak`; Spark's _SUCCESS and .crc files are markers
            if part and not (part.startswith("/") and name and name[0] not in "._"):
                continue
            found[channel].append(_on_s3(aws, bucket, item["Key"], item["Size"]))
    return found


def _listed(aws: Calls, bucket: str, prefix: str) -> Iterator[JsonObject]:
    for page in aws.pages("s3", "list_objects_v2", Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def partitions_before(aws: Calls, input_path: str) -> Iterator[str]:
    """Yield the input paths next to this one that sort before it, the newest first."""
    bucket, _, prefix = input_path.removeprefix("s3://").partition("/")
    parent, _, own = prefix.rstrip("/").rpartition("/")
    pages = aws.pages("s3", "list_objects_v2", Bucket=bucket, Prefix=f"{parent}/", Delimiter="/")
    prefixes = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
    names = [prefix.rstrip("/").rpartition("/")[2] for prefix in prefixes]
    for name in sorted((name for name in names if name < own), reverse=True):
        yield f"s3://{bucket}/{parent}/{name}"


def _on_s3(aws: Calls, bucket: str, key: str, size: int) -> ChannelFile:
    def opened() -> BinaryIO:
        return io.BufferedReader(_RangedObject(aws, bucket, key, size), BUFFER)

    return ChannelFile(f"s3://{bucket}/{key}", size, opened)


class _RangedObject(io.RawIOBase):
    """An S3 object as a seekable file: each read is one call for a range of it."""

    def __init__(self, aws: Calls, bucket: str, key: str, size: int) -> None:
        super().__init__()
        self._aws, self._bucket, self._key, self._size = aws, bucket, key, size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: WriteableBuffer) -> int:
        room = memoryview(buffer).cast("B")
        last = min(self._place + len(room), self._size) - 1
        if last < self._place:
            return 0
        piece = f"bytes={self._place}-{last}"
        reply = self._aws.call("s3", "get_object", Bucket=self._bucket, Key=self._key, Range=piece)
        body = reply["Body"].read()
        if len(body) != last - self._place + 1:
            raise TableError(f"s3://{self._bucket}/{self._key} changed while it was read; try again")
        room[: len(body)] = body
        self._place += len(body)
        return len(body)
