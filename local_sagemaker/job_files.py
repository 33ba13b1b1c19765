"""Reads files written by a job without trusting it: follows no links, and opens only regular files.

A job can replace a file or folder with a link, a FIFO or a device at any time, even between a check and its use. So
each part of a path below the anchor (a folder that the server created) is opened separately, relative to its parent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

MAX_DEPTH = 128
"""Maximum nesting of folders; an S3 key has at most 1,024 bytes."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class UnsafeFile(OSError):
    """A path is not a regular file, or folders are nested too deeply."""


class TooMuch(OSError):
    """The files, including holes, exceed the size limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the files exceed the limit of {limit // 2**20} MB")


@dataclass(frozen=True)
class Entry:
    """A file, folder or link in a walk. `open` and `link_target` work only until the walk continues."""

    relative: str
    """The path below the walked folder."""
    status: os.stat_result
    _folder: int

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.relative).name

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.status.st_mode)

    def open(self) -> BinaryIO:
        """Open the regular file; OSError if it has been replaced."""
        return _open_regular(self.name, self._folder)

    def link_target(self) -> str:
        """A link's target."""
        return os.readlink(self.name, dir_fd=self._folder)


def _open_regular(name: str, folder: int) -> BinaryIO:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISREG(status.st_mode):  # opening a device may have side effects
        descriptor = os.open(name, _FILE, dir_fd=folder)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
    raise UnsafeFile(f"{name} is not a regular file")


def _open_folder(anchor: Path, relative: PurePosixPath) -> int:
    folder = os.open(anchor, os.O_RDONLY | os.O_DIRECTORY)
    for part in relative.parts:
        try:
            inner = os.open(part, _FOLDER, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def open_file(anchor: Path, path: Path) -> BinaryIO:
    """Open a regular file below `anchor`; OSError if it is missing or not a regular file."""
    relative = PurePosixPath(path.relative_to(anchor))
    folder = _open_folder(anchor, relative.parent)
    try:
        return _open_regular(relative.name, folder)
    finally:
        os.close(folder)


def read_text(anchor: Path, path: Path, limit: int) -> str:
    """The first `limit` bytes of a regular file as text; empty if it is missing or not a regular file."""
    try:
        with open_file(anchor, path) as stream:
            return stream.read(limit).decode("utf-8", "replace")
    except OSError:
        return ""


def walk(anchor: Path, folder: Path) -> Iterator[Entry]:
    """Yield everything below a folder, sorted by name, each folder before its content.

    Yields nothing if the folder does not exist. OSError for folders nested more than MAX_DEPTH deep.
    """
    try:
        top = _open_folder(anchor, PurePosixPath(folder.relative_to(anchor)))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        if error.errno == errno.ELOOP:
            return
        raise
    open_folders = [(top, "", _names(top))]
    try:
        while open_folders:
            descriptor, prefix, names = open_folders[-1]
            name = next(names, None)
            if name is None:
                os.close(open_folders.pop()[0])
                continue
            entry = _entry(descriptor, prefix, name)
            if entry is None:
                continue
            yield entry
            if entry.is_folder:
                if len(open_folders) >= MAX_DEPTH:
                    raise UnsafeFile(f"folders are nested more than {MAX_DEPTH} deep")
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    inner = os.open(name, _FOLDER, dir_fd=descriptor)
                    open_folders.append((inner, f"{entry.relative}/", _names(inner)))
    finally:
        for descriptor, _, _ in open_folders:
            os.close(descriptor)


def _names(folder: int) -> Iterator[str]:
    return iter(sorted(os.listdir(folder)))


def _entry(folder: int, prefix: str, name: str) -> Entry | None:
    try:
        return Entry(prefix + name, os.stat(name, dir_fd=folder, follow_symlinks=False), folder)
    except FileNotFoundError:
        return None


def remove_tree(folder: Path) -> None:
    """Remove a folder of any depth with its content, as far as possible."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        subprocess.run(["rm", "-rf", "--", folder], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
