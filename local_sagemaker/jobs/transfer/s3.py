"""S3 for jobs: downloads prefixes and manifests, and uploads files and folders. Uploads are atomic."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from local_sagemaker import disk
from local_sagemaker.job_files import TooMuch, walk
from local_sagemaker.types import BotoClient

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig

_BLOCKS_BYTES = 2**20
"""The maximum disk space that a file needs in addition to its bytes, to recognize a full disk."""


class S3Problem(Exception):
    """An S3 operation failed. The text is used as FailureReason."""


@dataclass(frozen=True)
class S3Uri:
    """s3://bucket/key, the key without a leading slash."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Uri:
        """Parse an S3 URI; S3Problem if it is not valid."""
        scheme, _, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme not in {"s3", "S3"} or not bucket:
            raise S3Problem(f"ClientError: {uri!r} is not an S3 URI")
        return cls(bucket, key.lstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def child(self, *parts: str) -> S3Uri:
        """Append path parts."""
        return S3Uri(self.bucket, "/".join([part for part in (self.key.rstrip("/"), *parts) if part]))


@dataclass(frozen=True)
class Download:
    """An object, and its path below the channel's folder."""

    uri: S3Uri
    relative: str
    size: int


def safe_path(folder: Path, relative: str) -> Path:
    """Join a folder and an object's relative name; S3Problem if the path would be outside of the folder."""
    parts = PurePosixPath(relative).parts
    if not parts or relative.startswith("/") or ".." in parts or "\x00" in relative:
        raise S3Problem(
            f"ClientError: Data download failed: the object name {relative!r} points outside of its channel"
        )
    return folder.joinpath(*parts)


class S3:
    """A thread-safe S3 client, created at first use.

    `folder` contains the buckets: S3's errors do not mention a full disk, so after a failed upload its free space is
    checked.
    """

    def __init__(self, make_client: Callable[[], BotoClient], folder: Path) -> None:
        self._make_client = make_client
        self._folder = folder
        self._client: BotoClient | None = None
        self._lock = threading.Lock()

    @property
    def client(self) -> BotoClient:
        """The boto3 client."""
        with self._lock:
            if self._client is None:
                self._client = self._make_client()
        return self._client

    def keys(self, uri: S3Uri) -> Iterator[tuple[str, int]]:
        """Yield (key, size) of all objects with this prefix; S3Problem if the request fails."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=uri.bucket, Prefix=uri.key):
                for entry in page.get("Contents", []):
                    yield entry["Key"], int(entry["Size"])
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchBucket", "NoSuchKey", "404"}:
                return
            raise S3Problem(f"ClientError: Data download failed: {error} ({uri})") from error
        except BotoCoreError as error:
            raise S3Problem(f"InternalServerError: Data download failed: {error} ({uri})") from error

    def prefix_downloads(self, uri: S3Uri) -> list[Download]:
        """List the downloads for an S3Prefix, with names relative to the last slash of the prefix, as on AWS."""
        base = uri.key if uri.key.endswith("/") else uri.key.rpartition("/")[0]
        found = []
        for key, size in self.keys(uri):
            if key.endswith("/"):
                continue
            relative = key[len(base) :].lstrip("/")
            if not uri.key.endswith("/") and key.startswith(uri.key + "/"):
                relative = key[len(uri.key) + 1 :]
            found.append(Download(S3Uri(uri.bucket, key), relative, size))
        return found

    def manifest_downloads(self, uri: S3Uri) -> list[Download]:
        """List the objects of a ManifestFile: [{"prefix": "s3://bucket/path/"}, "relative/name", ...]."""
        try:
            entries = json.loads(self.read(uri))
            prefix = S3Uri.parse(entries[0]["prefix"])
            names = [str(name) for name in entries[1:]]
        except (ValueError, LookupError, TypeError) as error:
            raise S3Problem(
                f"ClientError: Data download failed: {uri} is not a valid manifest file: {error}"
            ) from error
        return [Download(S3Uri(prefix.bucket, prefix.key + name), name, -1) for name in names]

    def read(self, uri: S3Uri) -> bytes:
        """Return an object's content; S3Problem if the request fails."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            data: bytes = self.client.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
            return data
        except (ClientError, BotoCoreError) as error:
            raise S3Problem(f"ClientError: Data download failed: {error} ({uri})") from error

    def download(self, item: Download, folder: Path) -> None:
        """Download an object to its path below `folder`."""
        from boto3.exceptions import S3TransferFailedError
        from botocore.exceptions import BotoCoreError, ClientError

        target = safe_path(folder, item.relative)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self.client.download_file(item.uri.bucket, item.uri.key, str(target), Config=_transfer_config())
        except (ClientError, BotoCoreError, S3TransferFailedError) as error:
            raise S3Problem(f"ClientError: Data download failed: {error} ({item.uri})") from error
        except OSError as error:
            raise S3Problem(f"ClientError: Data download failed: {error.strerror} ({target})") from error

    def upload(self, path: Path, uri: S3Uri) -> None:
        """Upload one of the server's files."""
        with path.open("rb") as stream:
            self.upload_stream(stream, uri)

    def upload_stream(self, stream: BinaryIO, uri: S3Uri) -> None:
        """Upload an open file with its current content."""
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError

        size = os.fstat(stream.fileno()).st_size
        self.check_room(size)
        try:
            self.client.upload_fileobj(stream, uri.bucket, uri.key, Config=_transfer_config())
        except (ClientError, BotoCoreError, S3UploadFailedError, OSError) as error:
            raise S3Problem(f"ClientError: Artifact upload failed: {self._why(error, size)} ({uri})") from error

    def check_room(self, size: int) -> None:
        """Raise S3Problem if the disk has too little space for a file, holes included."""
        if short := self._no_room(size):
            raise S3Problem(f"ClientError: Artifact upload failed: {short}")

    def _no_room(self, size: int) -> str | None:
        short = disk.shortage(self._folder, size) if self._folder.is_dir() else None
        return f"No space left on device: {short}, the file has {size // 2**20} MB" if short else None

    def _why(self, error: Exception, size: int) -> str:
        return self._no_room(size + _BLOCKS_BYTES) or str(error)

    def upload_folder(self, anchor: Path, folder: Path, uri: S3Uri, limit: int) -> None:
        """Upload all regular files below `folder`, which is below `anchor`; at most `limit` bytes."""
        left = limit
        try:
            for entry in walk(anchor, folder):
                if entry.is_file:
                    left -= entry.status.st_size
                    if left < 0:
                        raise TooMuch(limit)
                    with entry.open() as stream:
                        self.upload_stream(stream, uri.child(entry.relative))
        except OSError as error:
            reason = error.strerror or error
            raise S3Problem(f"ClientError: Artifact upload failed: {reason} ({folder})") from error


def walk_files(folder: Path) -> list[Path]:
    """List the regular files below `folder` in a fixed order, without links, which could lead outside."""
    found = []
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                found.append(path)
    return found


def _transfer_config() -> TransferConfig:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(max_concurrency=2)
