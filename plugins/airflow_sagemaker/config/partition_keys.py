"""Partition keys as parts of paths, and back.

Airflow's keys may be composite (`2026-06-09|us-east`, ProductMapper's default), have a UTC offset (`+08:00`) or be in
any script. In paths, all bytes except letters, digits and `_.=:-` are written as %XX, as Hive and Spark write partition
values; and also a first character that is not a letter or digit, so that no name is hidden, or `..`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

LIMIT = 250
"""Maximum characters of a partition key in Airflow's database."""
_SAFE = re.compile(rb"[A-Za-z0-9_.=:-]")
_FIRST = re.compile(rb"[A-Za-z0-9]")


def partition_folder(key: str) -> str:
    """Return the key as a part of a path; a plain date is unchanged. `partition_key` is the reverse."""
    raw = str(key).encode()
    return "".join(
        chr(byte) if (_SAFE if place else _FIRST).fullmatch(raw[place : place + 1]) else f"%{byte:02X}"
        for place, byte in enumerate(raw)
    )


def partition_key(folder: str) -> str:
    """Return the key from a part of a path: the reverse of `partition_folder`."""
    return unquote(folder, errors="strict")


def partition_problem(key: str) -> str:
    """Return what is wrong with a partition key, or an empty string."""
    if not 1 <= len(key) <= LIMIT:
        return f"must have 1 to {LIMIT} characters"
    if not key.isprintable():
        return "must not contain control characters"
    return ""
