"""Raw files and splits on S3, with the caller's boto3 client.

S3 has no rename, so a commit copies: files are uploaded below `.aside/`, then the old manifest is deleted, the files
are copied into place, and the manifest is written last. A partition without a manifest is incomplete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from preprocessing import output, raw
from preprocessing.errors import ConflictError, MissingDataError
from preprocessing.json_types import JsonObject
from preprocessing.spec import TableSpec
from preprocessing.window import Window

THREADS = 16
PIECE = 2**20
"""Bytes of an object that are in memory while it is downloaded."""

MAX_COPY = 5 * 2**30
"""Bytes of the largest object that CopyObject accepts."""


class S3Client(Protocol):
    """A boto3 client for S3: its errors, and a method for each operation, which botocore adds at run time."""

    exceptions: Any

    def __getattr__(self, operation: str) -> Callable[..., Any]: ...


@dataclass(frozen=True)
class Folder:
    """A folder of a bucket: `s3://bucket/prefix`."""

    client: S3Client
    bucket: str
    prefix: str

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`, without a trailing slash."""
        return f"s3://{self.bucket}/{self.prefix}"

    def key(self, name: str) -> str:
        """Return the key of a name in the folder."""
        return f"{self.prefix}/{name}"

    def etags(self, below: str) -> dict[str, str]:
        """Return the ETags of all objects whose name begins with `below`, by name relative to the folder."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.key(below))
        found = [item for page in pages for item in page.get("Contents", [])]
        return {item["Key"].removeprefix(f"{self.prefix}/"): item["ETag"].strip('"') for item in found}

    def put(self, name: str, content: bytes) -> None:
        """Write one object."""
        self.client.put_object(Bucket=self.bucket, Key=self.key(name), Body=content)


def upload_raw(spec: TableSpec, folder: Folder, files: Iterable[tuple[str, bytes]]) -> dict[str, int]:
    """Upload raw files that are missing or differ; return how many were written and how many were unchanged.

    An object on S3 is complete as soon as it is visible, so two runs may write the same date at the same time.
    """
    present = {name: etag for table in spec.raw for name, etag in folder.etags(f"{table}/").items()}

    def put(file: tuple[str, bytes]) -> bool:
        # The ETag of an object that was not uploaded in parts is its MD5. If it is not, the file is uploaded again.
        name, content = file
        changed = present.get(name) != hashlib.md5(content, usedforsecurity=False).hexdigest()
        if changed:
            folder.put(name, content)
        return changed

    found = Counter[bool]()
    coming = iter(files)
    with ThreadPoolExecutor(THREADS) as pool:
        # In batches, which bounds how many files wait in memory.
        while batch := list(islice(coming, THREADS)):
            found.update(pool.map(put, batch))
    return {"written": found[True], "unchanged": found[False]}


def write_raw_manifest(spec: TableSpec, folder: Folder, name: str, raw_folder: Folder, window: Window) -> None:
    """Write a list of the window's raw files in SageMaker's ManifestFile format."""
    content: list[Any] = [{"prefix": f"{raw_folder.uri}/"}, *_raw_names(spec, window)]
    folder.put(name, json.dumps(content).encode())


def _raw_names(spec: TableSpec, window: Window) -> list[str]:
    return [raw.raw_key(table, day) for table, days in spec.raw_dates(window).items() for day in days]


def download_raw(spec: TableSpec, folder: Folder, window: Window, to: Path) -> None:
    """Download the raw files that the window reads. Raises MissingDataError if any is missing."""
    names = _raw_names(spec, window)
    with ThreadPoolExecutor(THREADS) as pool:
        missing = [name for name in pool.map(lambda name: _download(folder, name, to / name), names) if name]
    _refuse(missing, len(names), folder, window)


def require_raw(spec: TableSpec, folder: Folder, window: Window) -> None:
    """Raise MissingDataError unless all raw files that the window reads exist."""
    present = {name for table in spec.raw for name in folder.etags(f"{table}/")}
    names = _raw_names(spec, window)
    _refuse([name for name in names if name not in present], len(names), folder, window)


def _refuse(missing: list[str], known: int, folder: Folder, window: Window) -> None:
    if missing:
        raise MissingDataError(
            f"partition {window.partition}: {len(missing)} of {known} raw files are missing, the first is "
            f"{folder.uri}/{missing[0]}; provide these dates, or run extract if the source has them"
        )


def _download(folder: Folder, name: str, to: Path) -> str | None:
    """Download an object; return its name if it does not exist."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = folder.client.get_object(Bucket=folder.bucket, Key=folder.key(name))
    except folder.client.exceptions.NoSuchKey:
        return name
    with to.open("wb") as file:
        shutil.copyfileobj(found["Body"], file, PIECE)
    return None


def manifests_before(folder: Folder, *, since: str) -> Iterator[JsonObject]:
    """Yield the manifests of the complete partitions from `since` up to this one, excluded, the newest first.

    Partitions are compared by name.
    """
    parent, _, name = folder.prefix.rpartition("/")
    pages = folder.client.get_paginator("list_objects_v2").paginate(
        Bucket=folder.bucket, Prefix=f"{parent}/", Delimiter="/", StartAfter=f"{parent}/{since}"
    )
    folders = [item["Prefix"].rstrip("/") for page in pages for item in page.get("CommonPrefixes", [])]
    earlier = [prefix for prefix in folders if since <= prefix.removeprefix(f"{parent}/") < name]
    for prefix in sorted(earlier, reverse=True):
        try:
            body = folder.client.get_object(Bucket=folder.bucket, Key=f"{prefix}/{output.MANIFEST}")["Body"]
        except folder.client.exceptions.NoSuchKey:
            continue
        yield json.loads(body.read())


def publish(local: Path, folder: Folder) -> None:
    """Commit a locally written partition to S3; if this fails, the partition has no manifest and is incomplete.

    Two runs may commit the same partition at the same time: each uploads to its own folder first, and one that finds
    the other's files in place of its own deletes the manifest and raises ConflictError.
    """
    files = [output.split_key(split) for split in output.SPLITS]
    # Not inside the partition, so that listing the partition does not show it.
    parent, _, name = folder.prefix.rpartition("/")
    aside = Folder(folder.client, folder.bucket, f"{parent}/.aside/{name}-{uuid.uuid4().hex}")
    try:
        for file in files:
            folder.client.upload_file(str(local / file), aside.bucket, aside.key(file))
        remove_manifest(folder)
        ours = [_copy(aside, folder, file, (local / file).stat().st_size) for file in files]
        folder.put(output.MANIFEST, (local / output.MANIFEST).read_bytes())
        if [_etag(folder, file) for file in files] != ours:
            remove_manifest(folder)
            raise ConflictError(f"{folder.uri}: another run wrote this partition at the same time")
    finally:
        for file in files:
            folder.client.delete_object(Bucket=aside.bucket, Key=aside.key(file))


def _copy(source: Folder, target: Folder, file: str, size: int) -> str:
    """Copy an object to the same name in another folder; return the copy's ETag."""
    at = {"Bucket": source.bucket, "Key": source.key(file)}
    if size <= MAX_COPY:
        # One call, whose response has the ETag of this copy. The local S3 does not support UploadPartCopy.
        done = target.client.copy_object(CopySource=at, Bucket=target.bucket, Key=target.key(file))
        return str(done["CopyObjectResult"]["ETag"])
    target.client.copy(at, target.bucket, target.key(file))
    return _etag(target, file)


def remove_manifest(folder: Folder) -> None:
    """Mark a partition as incomplete."""
    folder.client.delete_object(Bucket=folder.bucket, Key=folder.key(output.MANIFEST))


def _etag(folder: Folder, file: str) -> str:
    return str(folder.client.head_object(Bucket=folder.bucket, Key=folder.key(file))["ETag"])
