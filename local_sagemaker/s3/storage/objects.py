"""Finds, writes and removes buckets and objects; writes are atomic. Thread-safe; one instance owns the folder."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.storage import keys, staging
from local_sagemaker.s3.storage.catalog import Bucket, Catalog, Info
from local_sagemaker.s3.storage.staging import StagedFile

_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG}
DEFAULT_TYPE = "binary/octet-stream"


@dataclass(frozen=True)
class StoredObject:
    """An object at one point in time; `modified` is in nanoseconds since the epoch."""

    key: str
    size: int
    modified: int
    info: Info

    @property
    def modified_second(self) -> int:
        """The modification time in whole seconds, like HTTP dates."""
        return self.modified // 10**9


Precondition = Callable[[StoredObject | None], None]
"""Checks the current object before a write; raises S3Error if the write's conditions do not hold."""


def no_condition(_current: StoredObject | None) -> None:
    """Allow any write."""


class Objects:
    """The buckets below one folder."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder = folder.resolve()
        self.staging = self.folder / staging.FOLDER
        self.staging.mkdir(parents=True, exist_ok=True)
        self.catalog = catalog
        self._lock = threading.RLock()
        self._last_modified = 0

    # --- buckets ---

    def buckets(self) -> list[Bucket]:
        """All buckets by name, including folders created by hand."""
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return [self.bucket(name) for name in sorted(names) if keys.is_bucket_name(name)]

    def bucket(self, name: str) -> Bucket:
        """One bucket; NoSuchBucket."""
        folder = self.bucket_folder(name)
        return self.catalog.bucket(name) or Bucket(name, folder.stat().st_mtime, None, None)

    def bucket_folder(self, name: str) -> Path:
        """The folder of a bucket; NoSuchBucket."""
        folder = self.folder / name
        if not keys.is_bucket_name(name) or not _is_folder(folder):
            raise S3Error("NoSuchBucket", "The specified bucket does not exist", {"BucketName": name})
        return folder

    def create_bucket(self, name: str, location: str, tags: Mapping[str, str] | None) -> bool:
        """Create a bucket; False if it already existed."""
        with self._lock:
            keys.check_new_bucket(name)
            try:
                (self.folder / name).mkdir()
            except FileExistsError:
                self.bucket_folder(name)
                return False
            self.catalog.forget_bucket(name)
            self.catalog.save_bucket(Bucket(name, time.time(), location, tags))
            return True

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket; BucketNotEmpty if it contains any file, even one that is not an object."""
        with self._lock:
            folder = self.bucket_folder(name)
            for root, _folders, files in os.walk(folder, topdown=False):
                try:
                    if files:
                        raise OSError(errno.ENOTEMPTY, "")
                    Path(root).rmdir()
                except OSError:
                    text = "The bucket you tried to delete is not empty"
                    raise S3Error("BucketNotEmpty", text, {"BucketName": name}) from None
            self.catalog.forget_bucket(name)

    def tag_bucket(self, name: str, tags: Mapping[str, str] | None) -> None:
        """Replace a bucket's tags."""
        with self._lock:
            self.catalog.save_bucket(replace(self.bucket(name), tags=tags))

    # --- objects ---

    @contextmanager
    def open(self, bucket: str, key: str) -> Iterator[tuple[int, StoredObject]]:
        """An open descriptor of an object's file, and the object; NoSuchKey."""
        descriptor, found = self.open_descriptor(bucket, key)
        try:
            yield descriptor, found
        finally:
            os.close(descriptor)

    def open_descriptor(self, bucket: str, key: str) -> tuple[int, StoredObject]:
        """The same, for a caller that closes the descriptor itself."""
        folder = self.bucket_folder(bucket)
        while True:
            descriptor = self._open_file(folder, key)
            if descriptor is None:
                raise no_such_key(key)
            status = os.fstat(descriptor)
            info = self.catalog.info(bucket, key, status.st_mtime_ns, status.st_size)
            if info is not None or self._is_current(folder, key, status):
                info = info or foreign_info(status)
                return descriptor, StoredObject(key, status.st_size, status.st_mtime_ns, info)
            os.close(descriptor)  # replaced since it was opened, and its row is already deleted

    def find(self, bucket: str, key: str) -> StoredObject:
        """An object without its content; NoSuchKey."""
        with self.open(bucket, key) as (_descriptor, found):
            return found

    def check_writable(self, bucket: str, key: str, precondition: Precondition = no_condition) -> None:
        """Reject a write whose conditions already fail, before its body is sent."""
        self.bucket_folder(bucket)
        keys.file_names(key)
        if precondition is not no_condition:
            precondition(self._current(bucket, key))

    def stage(self) -> StagedFile:
        """A new temporary file for an object's content."""
        return StagedFile(self.staging / secrets.token_hex(16))

    def publish(
        self, staged: StagedFile, bucket: str, key: str, info: Info, precondition: Precondition = no_condition
    ) -> StoredObject:
        """Make a staged file the object of a key, atomically with its metadata."""
        with self._lock:
            folder = self.bucket_folder(bucket)
            names = keys.file_names(key)
            current = self._current(bucket, key)
            precondition(current)
            target = _make_place(folder, names)
            self._last_modified = max(time.time_ns(), self._last_modified + 1)
            modified = staged.stamp(self._last_modified)
            # the current object's row is valid until the rename; the next write deletes it
            beside = current.modified if current else None
            self.catalog.save_info(bucket, key, modified, staged.size, info, beside=beside)
            staged.place(target)
            return StoredObject(key, staged.size, modified, info)

    def delete(self, bucket: str, key: str, precondition: Precondition = no_condition) -> bool:
        """Remove an object; False if it did not exist."""
        with self._lock:
            folder = self.bucket_folder(bucket)
            precondition(self._current(bucket, key))
            removed = False
            parent = _parent(folder, key)
            if parent is None:
                return False
            name = keys.file_names(key)[-1]
            for path in (parent / keys.aside(name), parent / name):
                if _is_file(path):
                    path.unlink()
                    removed = True
            if removed:
                self.catalog.forget_infos(bucket, key)
                _remove_empty(parent, folder)
            return removed

    def tag(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        """Replace an object's tags; NoSuchKey."""
        with self._lock:
            found = self.find(bucket, key)
            info = replace(found.info, tags=tags)
            self.catalog.save_info(bucket, key, found.modified, found.size, info, beside=None)

    def _current(self, bucket: str, key: str) -> StoredObject | None:
        try:
            return self.find(bucket, key)
        except S3Error as error:
            if error.code == "NoSuchKey":
                return None
            raise

    def _open_file(self, folder: Path, key: str) -> int | None:
        parent = _parent(folder, key)
        if parent is None:
            return None
        name = keys.file_names(key)[-1]
        for candidate in (name, keys.aside(name)):
            try:
                # only regular files are objects: opening a FIFO would block, and a link may lead out of the bucket
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(parent / candidate, flags)
            except OSError as error:
                if error.errno in _NO_FILE:
                    continue
                if error.errno == errno.EACCES:
                    raise S3Error("AccessDenied", f"The file of '{key}' cannot be read by this server") from None
                raise
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)
        return None

    def _is_current(self, folder: Path, key: str, status: os.stat_result) -> bool:
        descriptor = self._open_file(folder, key)
        if descriptor is None:
            return False
        with contextlib.closing(_Descriptor(descriptor)):
            return os.path.samestat(os.fstat(descriptor), status)


class _Descriptor:
    def __init__(self, number: int) -> None:
        self._number = number

    def close(self) -> None:
        os.close(self._number)


def no_such_key(key: str) -> S3Error:
    """The error for a key without an object."""
    return S3Error("NoSuchKey", "The specified key does not exist.", {"Key": key})


def foreign_info(status: os.stat_result) -> Info:
    """The metadata of a file created by hand: an ETag from its size and time, in the form of a multipart ETag."""
    return Info(etag=f"{status.st_mtime_ns:016x}{status.st_size:016x}-1", headers={"content-type": DEFAULT_TYPE})


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _parent(folder: Path, key: str) -> Path | None:
    """The folder of an object's file; None if it does not exist or is reached through a link."""
    try:
        names = keys.file_names(key)
    except S3Error:
        return None
    parent = folder.joinpath(*names[:-1])
    return parent if len(names) == 1 or os.path.realpath(parent) == str(parent) else None


def _make_place(folder: Path, names: list[str]) -> Path:
    """Create the folders for an object's file and return its path; renames a file whose name a folder needs."""
    parent = folder
    try:
        for name in names[:-1]:
            parent = parent / name
            _make_folder(parent)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise S3Error("KeyTooLongError", "The path of this key's file is too long for this system") from None
        raise
    primary, alternative = parent / names[-1], parent / keys.aside(names[-1])
    return alternative if _is_folder(primary) or (_is_file(alternative) and not _is_file(primary)) else primary


def _make_folder(path: Path) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            path.rename(path.with_name(keys.aside(path.name)))
            path.mkdir()
        elif not stat.S_ISDIR(mode):
            text = f"{path} is neither a file nor a folder: no object can be stored below it"
            raise S3Error("InvalidRequest", text) from None


def _remove_empty(path: Path, folder: Path) -> None:
    """Remove empty parent folders, up to the bucket's."""
    while path != folder:
        try:
            path.rmdir()
        except OSError:
            return
        path = path.parent
