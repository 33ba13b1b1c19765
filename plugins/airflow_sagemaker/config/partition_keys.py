"""Partition keys as parts of paths: any key can be one, and can be read back from it.

Airflow's keys may be composite (`2026-06-09|us-east`, ProductMapper's default), carry an offset (`+08:00`) or be
written in any script. In paths every byte but letters, digits and `_.=:-` is written as %XX, as Hive and Spark write
partition values; a first character other than a letter or digit, too, so that no key is hidden, or `..`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

LIMIT = 250
"""Characters of a partition key in Airflow's database."""
_SAFE = re.compile(rb"[A-Za-z0-9_.=:-]")
_FIRST = re.compile(rb"[A-Za-z0-9]")


def partition_folder(key: str) -> str:
    """The key as one part of a path; `partition_key` is its reverse. A plain date stays what it is."""
    raw = str(key).encode()
    return "".join(
        chr(byte) if (_SAFE if place else _FIRST).fullmatch(raw[place : place + 1]) else f"%{byte:02X}"
        for place, byte in enumerate(raw)
    )


def partition_key(folder: str) -> str:
    """The key that `partition_folder` made this part of a path from."""
    return unquote(folder, errors="strict")


def partition_problem(key: str) -> str:
    """What is wrong with a partition key, or an empty string."""
    if not 1 <= len(key) <= LIMIT:
        return f"must have 1 to {LIMIT} characters"
    if not key.isprintable():
        return "must not contain control characters"
    return ""
