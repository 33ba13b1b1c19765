"""Bucket names, keys, and the path of an object's file.

A key's parts between slashes are the names of its folders and its file, so users can find objects by their keys. Parts
that a file system cannot store under their own name are percent-encoded and end in the mark `%s3`: an empty part
(`a//b` is `a/%s3/b`, the folder marker `a/` is `a/%s3`), `.` and `..`, parts with a NUL, and parts with the mark.
When both an object `a` and an object `a/b` exist, `a` names a folder, and the object's file is `a%s3` (`aside`).
`part_of_name` reverses both.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from local_sagemaker.s3.errors import S3Error

MARK = "%s3"
_MARKS = re.compile("(?:%s3)+$")
_MAX_KEY_BYTES = 1024
_MAX_NAME_BYTES = 255
"""The limit of ext4, XFS, btrfs, tmpfs and overlayfs."""

_NEW_BUCKET = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!xn--)(?!.*(?:\.\.|\.-|-\.))[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ANY_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
"""Names that a folder created by hand may have."""


def name_of_part(part: str) -> str:
    """The folder or file name for a part of a key."""
    if part not in ("", ".", "..") and "\0" not in part and MARK not in part:
        return part
    escaped = part.replace("%", "%25").replace("\0", "%00")
    return (escaped.replace(".", "%2E") if part in (".", "..") else escaped) + MARK


def aside(name: str) -> str:
    """The name of a file whose plain name is taken by a folder."""
    return name + MARK if MARK in name else name.replace("%", "%25") + MARK


def part_of_name(name: str) -> str | None:
    """The part of a key that a folder or file name represents; None for a name that no key maps to."""
    plain = _MARKS.sub("", name)
    part = plain if plain == name else unquote(plain)
    try:
        part.encode()
    except UnicodeEncodeError:  # not UTF-8, so no key has it
        return None
    primary = name_of_part(part)
    return part if name in (primary, aside(primary)) else None


def file_names(key: str) -> list[str]:
    """The names from the bucket's folder to the object's file; S3Error for a key that cannot be stored here."""
    size = len(key.encode())
    if not 1 <= size <= _MAX_KEY_BYTES:
        raise S3Error("KeyTooLongError", f"Your key has {size} bytes, keys have 1 to {_MAX_KEY_BYTES}.")
    names = [name_of_part(part) for part in key.split("/")]
    for name in names:
        if len(aside(name).encode()) > _MAX_NAME_BYTES:
            text = f"Here each part of a key between slashes is a file name of at most {_MAX_NAME_BYTES - len(MARK)}"
            raise S3Error("KeyTooLongError", f"{text} bytes, `%` counts three: '{name[:50]}...' is too long.")
    return names


def check_new_bucket(name: str) -> None:
    """Raise S3Error if a new bucket may not have this name."""
    if not _NEW_BUCKET.fullmatch(name):
        raise S3Error("InvalidBucketName", "The specified bucket is not valid.", {"BucketName": name})


def is_bucket_name(name: str) -> bool:
    """Whether a folder with this name can be a bucket."""
    return _ANY_BUCKET.fullmatch(name) is not None
