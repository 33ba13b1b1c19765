"""Signatures, against those that botocore makes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.http.signatures import problem

SECRET = "secret/+key"


def is_valid(environ: dict[str, Any], body: bytes, secret: str) -> bool:
    return problem(environ, body, secret) is None


EXPIRED = r"Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)"
NOT_YET = r"Signature not yet current: \d{8}T\d{6}Z is still later than \d{8}T\d{6}Z \(\d{8}T\d{6}Z \+ 5 min\.\)"


def signed(
    url: str = "http://127.0.0.1:4600/", body: bytes = b"{}", *, age: timedelta = timedelta(), **headers: str
) -> dict[str, Any]:
    """The WSGI environment of a request that botocore signed that long ago."""
    request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/x-amz-json-1.1", **headers})
    moment = datetime.now(UTC) - age
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
        SigV4Auth(Credentials("AKIALOCAL", SECRET), "sagemaker", "eu-west-1").add_auth(request)
    parts = urlsplit(url)
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": unquote(parts.path, encoding="latin-1") or "/",
        "QUERY_STRING": parts.query,
        "HTTP_HOST": parts.netloc,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return environ


@given(
    body=st.binary(max_size=50),
    query=st.sampled_from(["", "?b=2&a=1", "?a=", "?a=%2F%20&a=%C3%A9", "?x=a+b"]),
    path=st.sampled_from(["/", "/v1/repository/endpoint", "/a%20b/%C3%A9"]),
)
def test_what_botocore_signs_is_valid_and_nothing_else(body: bytes, query: str, path: str) -> None:
    environ = signed(f"http://127.0.0.1:4600{path}{query.replace('+', '%20')}", body)
    assert is_valid(environ, body, SECRET)
    assert not is_valid(environ, body + b" ", SECRET)
    assert not is_valid(environ, body, SECRET + "x")
    assert not is_valid({**environ, "QUERY_STRING": environ["QUERY_STRING"] + "&z=1"}, body, SECRET)
    assert not is_valid({**environ, "HTTP_HOST": "other"}, body, SECRET)
    assert not is_valid({**environ, "REQUEST_METHOD": "PUT"}, body, SECRET)


@pytest.mark.parametrize(("minutes", "valid"), [(0, True), (4, True), (6, False), (-4, True), (-6, False)])
def test_clocks_may_differ_by_five_minutes(minutes: int, valid: bool) -> None:
    found = problem(signed(age=timedelta(minutes=minutes)), b"{}", SECRET)
    assert found is None if valid else re.fullmatch(EXPIRED if minutes > 0 else NOT_YET, found or "")


@pytest.mark.parametrize("header", ["", "Basic eDp5", "AWS4-HMAC-SHA256 Credential=a/b/c", "AWS AKIALOCAL:abc="])
def test_other_headers_are_not_valid(header: str) -> None:
    assert not is_valid({**signed(), "HTTP_AUTHORIZATION": header}, b"{}", SECRET)


def test_the_host_must_be_signed() -> None:
    environ = signed()
    names = environ["HTTP_AUTHORIZATION"]
    assert "content-type;host;" in names
    assert not is_valid({**environ, "HTTP_AUTHORIZATION": names.replace("host;", "")}, b"{}", SECRET)
