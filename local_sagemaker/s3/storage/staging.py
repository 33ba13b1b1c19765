"""Files that are being written: hidden from every bucket, on its disk, until one rename makes them objects."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from types import TracebackType

FOLDER = ".incomplete"
"""In the folder of buckets; no bucket's name begins with a dot."""
_COPY_BYTES = 2**20


class StagedFile:
    """A file that goes away when the `with` block ends, unless it was given its place before."""

    def __init__(self, path: Path, *, existing_bytes: int | None = None) -> None:
        """A new file, or the first `existing_bytes` of one that then stays when it is given no place."""
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
        """Append a piece of an open file, in the kernel where it can."""
        left = size
        while left:
            try:
                copied = os.copy_file_range(source, self._descriptor, left, offset_src=offset)
            except OSError:  # not between these file systems
                data = os.pread(source, min(left, _COPY_BYTES), offset)
                copied = os.write(self._descriptor, data)
            if not copied:
                raise OSError(f"{self.path.name}: the source ended {left} bytes early")
            offset, left = offset + copied, left - copied
        self.size += size

    def stamp(self, modified: int) -> int:
        """Set the time of modification; gives the one that the file system keeps."""
        os.utime(self._descriptor, ns=(modified, modified))
        return os.fstat(self._descriptor).st_mtime_ns

    def place(self, target: Path) -> None:
        """Give the file its name, replacing what has it, in one step."""
        self.path.rename(target)
        self._stays = True


class Slot:
    """A piece of a file that others write other pieces of at the same time."""

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
        """Append to the piece; ValueError beyond its size, which was the client's own word."""
        view = memoryview(data)
        if self.size + len(view) > self._limit:
            raise ValueError(f"more than {self._limit} bytes for a slot")
        while view:
            written = os.pwrite(self._descriptor, view, self._offset + self.size)
            self.size += written
            view = view[written:]


def sweep(folder: Path, keep: set[str]) -> None:
    """Remove what an earlier server left half-written; `keep` names the folders of unfinished uploads."""
    for path in folder.iterdir():
        if path.name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
