"""Lists a bucket's keys in byte order, page by page, directly from its folders."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.storage import keys
from local_sagemaker.s3.storage.objects import Objects, StoredObject, foreign_info

_MAX_KEPT_ENTRIES = 200_000
_LAST = b"\xff"
"""This byte is in no key, since keys are UTF-8."""


@dataclass(frozen=True)
class Page:
    """One page of a listing; `last` is its last key or common prefix."""

    objects: list[StoredObject] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    last: str = ""


@dataclass(frozen=True)
class _Entry:
    """An entry of a folder. `part` is the end of a file's key; a folder's ends with a slash, and its keys continue."""

    part: bytes
    name: str


class _Folders:
    """The sorted entries of folders, cached while one page is built."""

    def __init__(self) -> None:
        self._known: dict[Path, list[_Entry]] = {}
        self._count = 0

    def entries(self, folder: Path) -> list[_Entry]:
        """Files and folders, sorted by the bytes of the keys that they represent."""
        known = self._known.get(folder)
        if known is None:
            known = sorted(self._read(folder), key=lambda entry: (entry.part, entry.name))
            self._count += len(known)
            if self._count > _MAX_KEPT_ENTRIES:
                self._known.clear()
                self._count = len(known)
            self._known[folder] = known
        return known

    @staticmethod
    def _read(folder: Path) -> Iterator[_Entry]:
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    part = keys.part_of_name(entry.name)
                    if part is None:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name == keys.name_of_part(part):
                            yield _Entry(part.encode() + b"/", entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        yield _Entry(part.encode(), entry.name)
        except (FileNotFoundError, NotADirectoryError):  # removed in the meantime
            return


def list_page(
    objects: Objects, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
) -> Page:
    """Up to `limit` objects and common prefixes that come after the key or common prefix `after`."""
    folder = objects.bucket_folder(bucket)
    folders = _Folders()
    page = Page()
    last = after.encode()
    if delimiter and len(after) > len(prefix) and after.startswith(prefix) and after.endswith(delimiter):
        last = _behind(after) if _common_prefix(after, prefix, delimiter) == after else last
    found: list[tuple[str, Path]] = []
    name = ""
    while len(found) + len(page.prefixes) < limit:
        for key, path in _walk(folder, folders, prefix.encode(), last):
            if delimiter and delimiter in key[len(prefix) :]:
                name = _common_prefix(key, prefix, delimiter)
                page.prefixes.append(name)
                last = _behind(name)
                break  # the next walk starts after everything with this prefix
            found.append((key, path))
            name, last = key, key.encode()
            if len(found) + len(page.prefixes) == limit:
                break
        else:
            break
    page.objects.extend(_stored(objects, bucket, found))
    more = limit > 0 and next(_walk(folder, folders, prefix.encode(), last), None) is not None
    return Page(page.objects, page.prefixes, more, name)


def first_key(folder: Path, prefix: str) -> str | None:
    """The first key in a bucket's folder that starts with `prefix`."""
    found = next(_walk(folder, _Folders(), prefix.encode(), b""), None)
    return found[0] if found else None


def _common_prefix(key: str, prefix: str, delimiter: str) -> str:
    return key[: key.index(delimiter, len(prefix)) + len(delimiter)]


def _behind(prefix: str) -> bytes:
    """A marker that sorts after every key with this prefix."""
    return prefix.encode() + _LAST


def _walk(folder: Path, folders: _Folders, prefix: bytes, after: bytes) -> Iterator[tuple[str, Path]]:
    """Yield keys that start with `prefix` and sort after `after`, with their files."""
    begin_at = max(prefix, after)
    stack = [(folder, b"", _start(folders.entries(folder), b"", begin_at))]
    previous = b""
    while stack:
        parent, begin, position = stack.pop()
        entries = folders.entries(parent)
        while position < len(entries):
            entry = entries[position]
            position += 1
            full = begin + entry.part
            if full[: len(prefix)] != prefix[: len(full)]:
                if full > prefix:
                    return  # all further entries sort after the prefix, too
            elif entry.part.endswith(b"/"):
                if full > after or (after.startswith(full) and after != full + _LAST):
                    below = parent / entry.name
                    stack.append((parent, begin, position))
                    stack.append((below, full, _start(folders.entries(below), full, begin_at)))
                    break
            elif full > after and len(full) >= len(prefix) and full != previous:
                previous = full
                yield full.decode(), parent / entry.name


def _start(entries: list[_Entry], begin: bytes, after: bytes) -> int:
    """The index of the first entry that can have a key after `after`."""
    if not after.startswith(begin):
        return 0
    rest = after[len(begin) :]
    position = bisect_left(entries, rest, key=lambda entry: entry.part)
    # the folder that contains `after` sorts before it
    return max(position - 1, 0)


def _stored(objects: Objects, bucket: str, found: list[tuple[str, Path]]) -> Iterator[StoredObject]:
    if not found:
        return
    statuses = []
    for key, path in found:
        try:
            statuses.append((key, path.lstat()))
        except FileNotFoundError:
            continue
    infos = objects.catalog.infos(bucket, [key for key, _path in found])
    for key, status in statuses:
        info = infos.get((key, status.st_mtime_ns, status.st_size))
        if info is not None:
            yield StoredObject(key, status.st_size, status.st_mtime_ns, info)
            continue
        try:  # created by hand, or just replaced
            yield objects.find(bucket, key)
        except S3Error:
            yield StoredObject(key, status.st_size, status.st_mtime_ns, foreign_info(status))
