"""Files that a job wrote, read without trusting it: links are never followed, and only regular files are opened.

A job may put a link, a FIFO or a device where a file or a folder is expected, also while the server looks. So every
part of a path below the anchor, a folder that the server made, is opened by itself and as what it must be.
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
"""Folders within folders; an S3 key has at most 1,024 bytes."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class UnsafeFile(OSError):
    """What lies there is none of what may be read."""


class TooMuch(OSError):
    """The files, their holes included, have more bytes than there is room for."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the files exceed the limit of {limit // 2**20} MB")


@dataclass(frozen=True)
class Entry:
    """A file, folder or link in a walk; `open` and `link_target` work until the walk goes on."""

    relative: str
    """Its path below the folder that is walked."""
    status: os.stat_result
    _folder: int

    @property
    def name(self) -> str:
        """The last part of its path."""
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
        """The regular file; OSError when it is none any more."""
        return _open_regular(self.name, self._folder)

    def link_target(self) -> str:
        """Where a link leads, as text."""
        return os.readlink(self.name, dir_fd=self._folder)


def _open_regular(name: str, folder: int) -> BinaryIO:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISREG(status.st_mode):  # opening a device may do something
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
    """Open a regular file below `anchor`; OSError when it is not there or is something else."""
    relative = PurePosixPath(path.relative_to(anchor))
    folder = _open_folder(anchor, relative.parent)
    try:
        return _open_regular(relative.name, folder)
    finally:
        os.close(folder)


def read_text(anchor: Path, path: Path, limit: int) -> str:
    """The first `limit` bytes of a regular file as text; empty when it is not there or is something else."""
    try:
        with open_file(anchor, path) as stream:
            return stream.read(limit).decode("utf-8", "replace")
    except OSError:
        return ""


def walk(anchor: Path, folder: Path) -> Iterator[Entry]:
    """Yield what lies below a folder, each folder before its content, in the order of names.

    Nothing when it is not there, or is no folder. OSError for folders nested more than MAX_DEPTH deep.
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
    """Remove a folder with all that is in it, as far as possible, however deep it is."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        subprocess.run(["rm", "-rf", "--", folder], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
