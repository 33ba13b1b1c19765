"""Syncs /opt/ml/checkpoints with S3: downloads before the start, uploads while the job runs and after its end."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import BinaryIO

from local_sagemaker.job_files import Entry, UnsafeFile, walk
from local_sagemaker.jobs.transfer.s3 import S3, S3Problem, S3Uri

log = logging.getLogger(__name__)

_QUIET_SECONDS = 1.0
"""A file modified within this time may be incomplete, so it is uploaded in the next round."""


class CheckpointSync:
    """Syncs a folder with a prefix. Files are uploaded from snapshots, so that they do not change during the upload."""

    def __init__(self, s3: S3, anchor: Path, folder: Path, uri: S3Uri, scratch: Path) -> None:
        """`folder` is below `anchor`, which the server created; `scratch` is the path for snapshots."""
        self._s3 = s3
        self._anchor = anchor
        self._folder = folder
        self._uri = S3Uri(uri.bucket, uri.key.rstrip("/") + "/")
        self._snapshot = scratch
        self._stored: dict[str, tuple[int, int, int]] = {}

    def download(self) -> None:
        """Download the prefix's objects, if there are any."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for item in self._s3.prefix_downloads(self._uri):
            self._s3.download(item, self._folder)
        for entry in walk(self._anchor, self._folder):
            self._stored[entry.relative] = _identity(entry.status)

    def upload_changes(self, *, final: bool) -> None:
        """Upload changed files. `final` includes recently modified ones, and raises S3Problem if an upload fails."""
        try:
            for entry in walk(self._anchor, self._folder):
                if entry.is_file:
                    self._upload_or_wait(entry, final=final)
        except OSError as error:
            reason = error.strerror or error
            raise S3Problem(f"ClientError: Artifact upload failed: {reason} ({self._folder})") from error

    def _upload_or_wait(self, entry: Entry, *, final: bool) -> None:
        try:
            self._upload(entry, final=final)
        except (FileNotFoundError, UnsafeFile):
            return
        except (S3Problem, OSError) as problem:
            if final:
                raise
            log.warning("checkpoint %s waits for the next round: %s", entry.relative, problem)

    def _upload(self, entry: Entry, *, final: bool) -> None:
        if self._stored.get(entry.relative) == _identity(entry.status):
            return
        if not final and time.time() - entry.status.st_mtime < _QUIET_SECONDS:
            return
        with entry.open() as stream:
            identity = _identity(os.fstat(stream.fileno()))
            self._s3.check_room(2 * identity[1])  # space for the snapshot and the object
            try:
                with self._snapshot.open("wb") as copy:
                    _copy(stream, copy, identity[1])
                if _identity(os.fstat(stream.fileno())) != identity and not final:
                    return
                self._s3.upload(self._snapshot, self._uri.child(entry.relative))
            finally:
                self._snapshot.unlink(missing_ok=True)
        self._stored[entry.relative] = identity


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    """Copy at most `size` bytes, since a file could grow as fast as it is read."""
    while size > 0 and (data := source.read(min(size, 2**20))):
        target.write(data)
        size -= len(data)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mtime_ns, status.st_size, status.st_ino
