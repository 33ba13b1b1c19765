"""Keys and bucket names, and the file that holds an object.

A key's parts between slashes are the names of folders and, last, of the file: a user finds an object by its key. What
no file system can name so is written with `%` and two hexadecimal digits and ends in the mark `%s3`: an empty part
(`a//b` is `a/%s3/b`, the folder marker `a/` is `a/%s3`), `.` and `..`, a NUL, and a part that holds the mark itself.
An object whose own name is needed for a folder (`a` beside `a/b`) steps `aside`: its file is called `a%s3`. Both are
undone by `part_of_name`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from local_sagemaker.s3.errors import S3Error

MARK = "%s3"
_MARKS = re.compile("(?:%s3)+$")
_MAX_KEY_BYTES = 1024
_MAX_NAME_BYTES = 255
"""Of ext4, XFS, btrfs, tmpfs and overlayfs."""

_NEW_BUCKET = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!xn--)(?!.*(?:\.\.|\.-|-\.))[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ANY_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
"""What a folder that was put there by hand may be called."""


def name_of_part(part: str) -> str:
    """The name of a folder or file for a part of a key."""
    if part not in ("", ".", "..") and "\0" not in part and MARK not in part:
        return part
    escaped = part.replace("%", "%25").replace("\0", "%00")
    return (escaped.replace(".", "%2E") if part in (".", "..") else escaped) + MARK


def aside(name: str) -> str:
    """The name of a file whose own name is needed for a folder."""
    return name + MARK if MARK in name else name.replace("%", "%25") + MARK


def part_of_name(name: str) -> str | None:
    """The part of a key that a folder or file stands for; None for a name that no key leads to."""
    plain = _MARKS.sub("", name)
    part = plain if plain == name else unquote(plain)
    try:
        part.encode()
    except UnicodeEncodeError:  # not UTF-8, which keys are
        return None
    primary = name_of_part(part)
    return part if name in (primary, aside(primary)) else None


def file_names(key: str) -> list[str]:
    """The names from the bucket's folder down to the object's file; S3Error for a key that none can have here."""
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
    """S3Error when a new bucket may not have this name."""
    if not _NEW_BUCKET.fullmatch(name):
        raise S3Error("InvalidBucketName", "The specified bucket is not valid.", {"BucketName": name})


def is_bucket_name(name: str) -> bool:
    """Whether a folder of this name can be a bucket."""
    return _ANY_BUCKET.fullmatch(name) is not None
