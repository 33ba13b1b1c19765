"""Conditional headers of reads, writes and copy sources, and byte ranges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from local_sagemaker.s3.errors import S3Error, not_implemented
from local_sagemaker.s3.storage.objects import Precondition, StoredObject, no_condition, no_such_key

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def check_read(found: StoredObject, headers: Mapping[str, str], *, prefix: str = "") -> None:
    """Raise PreconditionFailed or NotModified; for a copy's source (`prefix`), always PreconditionFailed."""
    if_match, if_none_match = headers.get(f"{prefix}if-match"), headers.get(f"{prefix}if-none-match")
    since = _moment(headers.get(f"{prefix}if-modified-since"))
    until = _moment(headers.get(f"{prefix}if-unmodified-since"))
    if if_match is not None:
        if not _matches(if_match, found):
            raise _failed("If-Match")
    elif until is not None and found.modified_second > until:
        raise _failed("If-Unmodified-Since")
    if if_none_match is not None:
        if _matches(if_none_match, found):
            raise _failed("If-None-Match") if prefix else _not_modified()
    elif since is not None and found.modified_second <= since:
        raise _failed("If-Modified-Since") if prefix else _not_modified()


def for_write(headers: Mapping[str, str], key: str) -> Precondition:
    """The check for If-Match and If-None-Match of a write; for the latter the service accepts only `*`."""
    if_match, if_none_match = headers.get("if-match"), headers.get("if-none-match")
    if if_none_match is not None and if_none_match.strip() != "*":
        raise not_implemented("If-None-Match with anything but * on a write")

    if if_match is None and if_none_match is None:
        return no_condition

    def check(current: StoredObject | None) -> None:
        if if_none_match is not None and current is not None:
            raise _failed("If-None-Match")
        if if_match is not None:
            if current is None:
                raise no_such_key(key)
            if not _matches(if_match, current):
                raise _failed("If-Match")

    return check


def byte_range(text: str | None, size: int) -> tuple[int, int] | None:
    """(first, count) of a Range header; None without a header, for several ranges, or for an unknown format.

    InvalidRange if the object does not have the range.
    """
    match = _RANGE.fullmatch(text.strip()) if text else None
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        count = min(int(last), size)
        begin = size - count
    else:
        begin = int(first)
        if last and int(last) < begin:
            return None
        count = min(int(last), size - 1) - begin + 1 if last else size - begin
    if count <= 0 or begin >= size:
        details = {"RangeRequested": str(text), "ActualObjectSize": str(size)}
        raise S3Error("InvalidRange", "The requested range is not satisfiable", details)
    return begin, count


def range_applies(headers: Mapping[str, str], found: StoredObject) -> bool:
    """Whether the range applies, given If-Range."""
    text = headers.get("if-range")
    if text is None:
        return True
    moment = _moment(text)
    return _matches(text, found) if moment is None else found.modified_second <= moment


def _matches(text: str, found: StoredObject) -> bool:
    tags = [item.strip().removeprefix("W/").strip('"') for item in text.split(",")]
    return "*" in tags or found.info.etag in tags


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    try:  # some clients send x-amz-copy-source-if-modified-since in ISO 8601
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _failed(condition: str) -> S3Error:
    text = "At least one of the pre-conditions you specified did not hold"
    return S3Error("PreconditionFailed", text, {"Condition": condition})


def _not_modified() -> S3Error:
    return S3Error("NotModified", "Not Modified")
