"""Byte ranges and conditional headers, by the rules of RFC 9110 and the service."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.protocol.conditions import byte_range, check_read, for_write, range_applies
from local_sagemaker.s3.storage.catalog import Info
from local_sagemaker.s3.storage.objects import StoredObject

SECOND = 1_700_000_000
FOUND = StoredObject("key", 10, SECOND * 10**9 + 5, Info(etag="abc"))
BEFORE, SAME, AFTER = (formatdate(SECOND + offset, usegmt=True) for offset in (-1, 0, 1))


@given(first=st.integers(0, 30), last=st.integers(0, 30), size=st.integers(1, 20))
def test_a_range_is_what_python_slices(first: int, last: int, size: int) -> None:
    content = bytes(range(size))
    if last < first:
        assert byte_range(f"bytes={first}-{last}", size) is None
    elif first >= size:
        with pytest.raises(S3Error, match="not satisfiable"):
            byte_range(f"bytes={first}-{last}", size)
    else:
        found = byte_range(f"bytes={first}-{last}", size)
        wanted = content[first : last + 1]
        assert found == (first, len(wanted))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=2-", (2, 8)),
        ("bytes=-3", (7, 3)),
        ("bytes=-30", (0, 10)),
        ("bytes=9-9", (9, 1)),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_open_ranges_and_headers_that_are_ignored(header: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_ranges_without_a_byte(header: str) -> None:
    with pytest.raises(S3Error) as error:
        byte_range(header, 10)
    assert (error.value.code, error.value.status) == ("InvalidRange", 416)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, None),
        ({"if-match": '"abc"'}, None),
        ({"if-match": '"x", "abc"'}, None),
        ({"if-match": "*"}, None),
        ({"if-match": '"x"'}, "PreconditionFailed"),
        ({"if-none-match": '"x"'}, None),
        ({"if-none-match": 'W/"abc"'}, "NotModified"),
        ({"if-modified-since": BEFORE}, None),
        ({"if-modified-since": SAME}, "NotModified"),
        ({"if-unmodified-since": SAME}, None),
        ({"if-unmodified-since": BEFORE}, "PreconditionFailed"),
        ({"if-match": '"abc"', "if-unmodified-since": BEFORE}, None),
        ({"if-none-match": '"x"', "if-modified-since": AFTER}, None),
        ({"if-modified-since": "yesterday"}, None),
    ],
)
def test_conditions_of_a_read(headers: dict[str, str], code: str | None) -> None:
    if code is None:
        check_read(FOUND, headers)
        return
    with pytest.raises(S3Error) as error:
        check_read(FOUND, headers)
    assert error.value.code == code


def test_the_source_of_a_copy_is_never_not_modified() -> None:
    with pytest.raises(S3Error) as error:
        check_read(FOUND, {"x-amz-copy-source-if-none-match": '"abc"'}, prefix="x-amz-copy-source-")
    assert error.value.code == "PreconditionFailed"


@pytest.mark.parametrize(
    ("headers", "current", "code"),
    [
        ({"if-none-match": "*"}, None, None),
        ({"if-none-match": "*"}, FOUND, "PreconditionFailed"),
        ({"if-match": '"abc"'}, FOUND, None),
        ({"if-match": '"x"'}, FOUND, "PreconditionFailed"),
        ({"if-match": '"abc"'}, None, "NoSuchKey"),
    ],
)
def test_conditions_of_a_write(headers: dict[str, str], current: StoredObject | None, code: str | None) -> None:
    check = for_write(headers, "key")
    if code is None:
        check(current)
        return
    with pytest.raises(S3Error) as error:
        check(current)
    assert error.value.code == code


@pytest.mark.parametrize(("header", "applies"), [('"abc"', True), ('"x"', False), (SAME, True), (BEFORE, False)])
def test_a_range_needs_an_unchanged_object(header: str, applies: bool) -> None:
    assert range_applies({"if-range": header}, FOUND) is applies
