"""Checkpoints between /opt/ml/checkpoints and S3: down before the start, up while the job runs and after its end."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from local_sagemaker.jobs.transfer.s3 import S3, S3Problem, S3Uri, walk_files

log = logging.getLogger(__name__)

_QUIET_SECONDS = 1.0
"""A file written to this recently may be unfinished: it waits for the next round."""


class CheckpointSync:
    """One folder and one prefix. Each file goes up whole: from a snapshot that did not change while it was taken."""

    def __init__(self, s3: S3, folder: Path, uri: S3Uri, scratch: Path) -> None:
        self._s3 = s3
        self._folder = folder
        self._uri = S3Uri(uri.bucket, uri.key.rstrip("/") + "/")
        self._snapshot = scratch
        self._stored: dict[Path, tuple[int, int, int]] = {}

    def download(self) -> None:
        """Bring the prefix's objects; none is no error."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for item in self._s3.prefix_downloads(self._uri):
            self._s3.download(item, self._folder)
        for path in walk_files(self._folder):
            self._stored[path] = _identity(path)

    def upload_changes(self, *, final: bool) -> None:
        """Store every file that changed; `final` stores also the fresh ones and raises S3Problem when S3 refuses."""
        for path in walk_files(self._folder):
            try:
                self._upload(path, final=final)
            except FileNotFoundError:
                continue
            except (S3Problem, OSError) as problem:
                if final:
                    raise
                log.warning("checkpoint %s waits for the next round: %s", path.name, problem)

    def _upload(self, path: Path, *, final: bool) -> None:
        identity = _identity(path)
        if self._stored.get(path) == identity:
            return
        if not final and time.time() - identity[0] / 1e9 < _QUIET_SECONDS:
            return
        shutil.copyfile(path, self._snapshot, follow_symlinks=False)
        try:
            if _identity(path) != identity and not final:
                return
            self._s3.upload(self._snapshot, self._uri.child(path.relative_to(self._folder).as_posix()))
        finally:
            self._snapshot.unlink(missing_ok=True)
        self._stored[path] = identity


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_mtime_ns, status.st_size, status.st_ino
