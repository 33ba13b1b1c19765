"""Files being written, outside of every bucket but on the same disk, until a rename makes them objects."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from types import TracebackType

FOLDER = ".incomplete"
"""Next to the buckets, whose names cannot start with a dot."""
_COPY_BYTES = 2**20


class StagedFile:
    """A temporary file that is deleted when the `with` block ends, unless it was moved to its place."""

    def __init__(self, path: Path, *, existing_bytes: int | None = None) -> None:
        """A new file; or, with `existing_bytes`, the start of an existing one, which is not deleted."""
        self.path = path
        self.size = existing_bytes or 0
        self._stays = existing_bytes is not None
        flags = os.O_RDWR | os.O_CLOEXEC | (0 if self._stays else os.O_CREAT | os.O_EXCL)
        self._descriptor = os.open(self.path, flags, 0o666)
        if existing_bytes is not None:
            os.ftruncate(self._descriptor, existing_bytes)
            os.lseek(self._descriptor, existing_bytes, os.SEEK_SET)

    def __enter__(self) -> StagedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
        if not self._stays:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def write(self, data: bytes | memoryview) -> None:
        """Append."""
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            self.size += written
            view = view[written:]

    def append_file(self, source: int, offset: int, size: int) -> None:
        """Append a range of an open file, copied in the kernel if possible."""
        left = size
        while left:
            try:
                copied = os.copy_file_range(source, self._descriptor, left, offset_src=offset)
            except OSError:  # not supported between these file systems
                data = os.pread(source, min(left, _COPY_BYTES), offset)
                copied = os.write(self._descriptor, data)
            if not copied:
                raise OSError(f"{self.path.name}: the source ended {left} bytes early")
            offset, left = offset + copied, left - copied
        self.size += size

    def stamp(self, modified: int) -> int:
        """Set the modification time; return the time that the file system stored."""
        os.utime(self._descriptor, ns=(modified, modified))
        return os.fstat(self._descriptor).st_mtime_ns

    def place(self, target: Path) -> None:
        """Rename the file to its final path, atomically replacing any file there."""
        self.path.rename(target)
        self._stays = True


class Slot:
    """One slot of a file in which other slots are written at the same time."""

    def __init__(self, path: Path, offset: int, size: int) -> None:
        self.size = 0
        self._offset, self._limit = offset, size
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def __enter__(self) -> Slot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def write(self, data: bytes | memoryview) -> None:
        """Append to the slot; ValueError beyond the size that the client stated."""
        view = memoryview(data)
        if self.size + len(view) > self._limit:
            raise ValueError(f"more than {self._limit} bytes for a slot")
        while view:
            written = os.pwrite(self._descriptor, view, self._offset + self.size)
            self.size += written
            view = view[written:]


def sweep(folder: Path, keep: set[str]) -> None:
    """Remove unfinished files of an earlier server; `keep` names the folders of unfinished uploads."""
    for path in folder.iterdir():
        if path.name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
