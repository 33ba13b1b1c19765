"""What no client library sends: wrong signatures, broken bodies, clients that stall; the documented code each time."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.support.s3_server import SECRET_KEY, LocalS3


@pytest.fixture
def kept(server: LocalS3, s3: Any, bucket: str) -> Iterator[str]:
    """A bucket with one object, which no test may change."""
    s3.put_object(Bucket=bucket, Key="kept", Body=b"content")
    yield f"/{bucket}/kept"
    assert (server.folder / bucket / "kept").read_bytes() == b"content"
    assert list((server.folder / bucket).iterdir()) == [server.folder / bucket / "kept"]


def test_nobody_is_let_in_without_a_signature(server: LocalS3, kept: str) -> None:
    assert server.send("GET", kept, {}).code == "AccessDenied"
    assert server.send("PUT", kept, {"Content-Length": "1"}, b"x").code == "AccessDenied"
    assert server.send("GET", kept, {"Authorization": "Basic abc"}).code == "InvalidArgument"
    assert server.send("GET", kept, {"Authorization": "AWS4-HMAC-SHA256 nonsense"}).code in (
        "InvalidRequest", "AuthorizationHeaderMalformed",
    )  # fmt: skip
    assert server.request("PUT", kept, body=b"x", secret_key=SECRET_KEY + "x").code == "SignatureDoesNotMatch"
    signed = server.signed("PUT", kept, body=b"x")
    signed["Authorization"] = signed["Authorization"].replace("AKIALOCALTEST", "AKIAANOTHER")
    assert server.send("PUT", kept, {**signed, "Content-Length": "1"}, b"x").code == "InvalidAccessKeyId"


@pytest.mark.parametrize("changed", ["method", "path", "query", "header", "body", "added"])
def test_what_is_signed_cannot_be_changed(server: LocalS3, kept: str, changed: str) -> None:
    headers = {"x-amz-meta-a": "1"}
    signed = {**server.signed("PUT", kept + "2?x-id=PutObject", headers=headers, body=b"x"), "Content-Length": "1"}
    if changed == "header":
        signed["x-amz-meta-a"] = "2"
    if changed == "added":
        signed["x-amz-tagging"] = "a=1"
    path = {"path": kept + "3?x-id=PutObject", "query": kept + "2?x-id=CopyObject"}.get(
        changed, kept + "2?x-id=PutObject"
    )
    answer = server.send("DELETE" if changed == "method" else "PUT", path, signed, b"y" if changed == "body" else b"x")
    expected = {"body": "XAmzContentSHA256Mismatch", "added": "AccessDenied"}
    assert answer.code == expected.get(changed, "SignatureDoesNotMatch")


@pytest.mark.parametrize("minutes", [-20, 20])
def test_clocks_that_are_off(server: LocalS3, kept: str, minutes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: moment.replace(tzinfo=None))
    assert server.request("GET", kept).code == "RequestTimeTooSkewed"


def test_other_names_of_this_machine_are_refused(server: LocalS3, kept: str) -> None:
    for host, allowed in (
        ("localhost:1", True),
        ("[::1]:1", True),
        ("evil.example", False),
        ("127.0.0.1.example", False),
    ):
        signed = server.signed("GET", kept, headers={"Host": host})
        assert server.send("GET", kept, {**signed, "Host": host}).status == (200 if allowed else 403)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-MD5": "AAAA"}, "InvalidDigest"),
        ({"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "x"}, "InvalidRequest"),
        ({"x-amz-checksum-xxhash64": "AAAAAA=="}, "NotImplemented"),
        ({"x-amz-server-side-encryption-customer-key": "k"}, "NotImplemented"),
        ({"x-amz-object-lock-mode": "GOVERNANCE"}, "NotImplemented"),
        ({"x-amz-acl": "public-read"}, "AccessControlListNotSupported"),
        ({"x-amz-storage-class": "GLACIER"}, "NotImplemented"),
        ({"x-amz-storage-class": "COLD"}, "InvalidStorageClass"),
        ({"x-amz-tagging": "a=1&a=2"}, "InvalidTag"),
        ({"x-amz-meta-a": "b" * 2050}, "MetadataTooLarge"),
        ({"x-amz-expected-bucket-owner": "000000000000"}, "AccessDenied"),
        ({"If-None-Match": '"etag"'}, "NotImplemented"),
        ({"x-amz-new-feature": "on"}, "NotImplemented"),
    ],
)
def test_headers_of_a_put(server: LocalS3, kept: str, headers: dict[str, str], code: str) -> None:
    assert server.request("PUT", kept + "2", headers=headers, body=b"x").code == code
    assert server.request("PUT", kept, headers=headers, body=b"x").code == code


@pytest.mark.parametrize("name", ["x-amz-api-version", "x-amz-user-agent", "x-amz-request-payer", "amz-sdk-request"])
def test_headers_that_clients_send_with_everything(server: LocalS3, kept: str, name: str) -> None:
    for method, path in (("HEAD", kept), ("HEAD", kept.rpartition("/")[0]), ("GET", kept + "?x-id=GetObject")):
        assert server.request(method, path, headers={name: "2006-03-01"}).status == 200


@pytest.mark.parametrize("query", ["?newthing", "?policy&x=1", "?versionId=abc", "?delimiter=a", "?uploads&tagging"])
def test_unknown_queries_are_refused_and_nothing_is_changed(server: LocalS3, kept: str, query: str) -> None:
    for method in ("PUT", "DELETE", "POST"):
        assert server.request(method, kept + query, body=b"x").status in (400, 405, 501)
        assert server.request(method, kept.rsplit("/", 1)[0] + query, body=b"x").status in (400, 405, 501)


@pytest.mark.parametrize(
    "path", ["/%ff", "/bucket/%c3%28", "/bucket/a%00b", "/..", "/.incomplete", "/.incomplete/x", "/a%2Fb"]
)
def test_paths_that_lead_nowhere(server: LocalS3, path: str) -> None:
    assert server.request("GET", path).status in (400, 404)
    assert server.request("PUT", path, body=b"x").status in (400, 404)


@pytest.mark.parametrize(
    "body", [b"", b"<", b"<a/>", b"<Delete/>", b"\xff", b"<!DOCTYPE x []><Delete/>", b"<Delete>" * 500]
)
def test_broken_documents(server: LocalS3, kept: str, body: bytes) -> None:
    for query in ("?delete", "?tagging"):
        method = "POST" if query == "?delete" else "PUT"
        assert server.request(method, kept.rsplit("/", 1)[0] + query, body=body).code == "MalformedXML"


def test_documents_without_end(server: LocalS3, kept: str) -> None:
    answer = server.request("POST", kept.rsplit("/", 1)[0] + "?delete", body=b"x" * 5 * 2**20)
    assert answer.code in ("EntityTooLarge", "MaxMessageLengthExceeded")


def chunked(
    server: LocalS3, path: str, chunks: list[bytes], *, payload: str, trailer: bytes = b""
) -> tuple[dict[str, str], bytes]:
    """A request in aws-chunked encoding whose signatures are right."""
    import hmac

    from local_sagemaker.s3.protocol.authentication import signing_key

    size = str(sum(map(len, chunks)))
    headers = {"x-amz-decoded-content-length": size, "Content-Encoding": "aws-chunked"}
    if trailer:
        headers["x-amz-trailer"] = trailer.partition(b":")[0].decode()
    signed = server.signed("PUT", path, headers=headers, payload=payload)
    date = signed["X-Amz-Date"]
    key = signing_key(SECRET_KEY, date[:8], "us-east-1")
    previous = signed["Authorization"].rpartition("Signature=")[2]
    empty, body = hashlib.sha256(b"").hexdigest(), b""

    def sign(kind: str, *rest: str) -> str:
        text = "\n".join((kind, date, f"{date[:8]}/us-east-1/s3/aws4_request", previous, *rest))
        return hmac.digest(key, text.encode(), "sha256").hex()

    for chunk in [*chunks, b""]:
        extension = ""
        if not payload.startswith("STREAMING-UNSIGNED"):
            previous = sign("AWS4-HMAC-SHA256-PAYLOAD", empty, hashlib.sha256(chunk).hexdigest())
            extension = f";chunk-signature={previous}"
        body += f"{len(chunk):x}{extension}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
    if trailer:
        body += trailer + b"\r\n"
        if payload.startswith("STREAMING-AWS4"):
            previous = sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(trailer + b"\n").hexdigest())
            body += f"x-amz-trailer-signature:{previous}\r\n".encode()
    body += b"\r\n"
    return {**signed, "Content-Length": str(len(body))}, body


CHUNKS = [b"a" * 70_000, b"b" * 9_000, b"c"]
TRAILER = b"x-amz-checksum-crc32:pFYrNA=="


@pytest.mark.parametrize(
    ("payload", "trailer"),
    [
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", b""),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", b"crc"),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", b"crc"),
    ],
)
def test_chunks_signed_and_unsigned(server: LocalS3, s3: Any, bucket: str, payload: str, trailer: bytes) -> None:
    import base64
    import zlib

    if trailer:
        crc = zlib.crc32(b"".join(CHUNKS)).to_bytes(4, "big")
        trailer = b"x-amz-checksum-crc32:" + base64.b64encode(crc)
    path = f"/{bucket}/k"
    headers, body = chunked(server, path, CHUNKS, payload=payload, trailer=trailer)
    assert server.send("PUT", path, headers, body).status == 200
    found = s3.get_object(Bucket=bucket, Key="k")
    assert found["Body"].read() == b"".join(CHUNKS)
    assert "ContentEncoding" not in found
    broken = [body.replace(b"bbbb", b"bbxb", 1), body[:-20], body.replace(b"\r\n", b"\n\n", 3), b"zz" + body]
    if trailer:
        broken.append(body.replace(trailer, trailer[:-5] + b"AAA==", 1))
    for number, wrong in enumerate(broken):
        answer = server.send("PUT", f"{path}{number}", {**headers, "Content-Length": str(len(wrong))}, wrong)
        assert answer.status in (400, 403), (number, answer)
        again, _ = chunked(server, f"{path}{number}", CHUNKS, payload=payload, trailer=trailer)
        answer = server.send("PUT", f"{path}{number}", {**again, "Content-Length": str(len(wrong))}, wrong)
        assert answer.status in (400, 403), (number, answer)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def raw(server: LocalS3) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def test_a_body_that_ends_early_is_no_object(server: LocalS3, kept: str) -> None:
    body = b"x" * 3 * 2**20
    signed = {**server.signed("PUT", kept, body=body), "Host": server.address, "Content-Length": str(len(body))}
    for cut in (0, 10, 2**20, len(body) - 1):
        with raw(server) as connection:
            connection.sendall(head("PUT", kept, signed) + body[:cut])
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(1000)
            assert answer == b"" or b" 400 " in answer.splitlines()[0]


def test_expect_is_answered_after_the_checks(server: LocalS3, bucket: str) -> None:
    path = f"/{bucket}/k"
    signed = server.signed("PUT", path, body=b"content")
    good = {**signed, "Host": server.address, "Content-Length": "7", "Expect": "100-continue"}
    with raw(server) as connection:
        connection.sendall(head("PUT", path, good))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"content")
        assert b"200 OK" in connection.recv(1000)
    with raw(server) as connection:
        connection.sendall(head("PUT", path + "2", good))
        answer = connection.recv(4000)
        assert answer.startswith(b"HTTP/1.1 403")
        assert b"connection: close" in answer.lower()


def test_only_one_of_many_creates_a_key(server: LocalS3, s3: Any, bucket: str) -> None:
    """All were told to send their bodies before the first one was there."""
    path, statuses = f"/{bucket}/fence", []
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(raw(server)) for _ in range(4)]
        for number, connection in enumerate(connections):
            signed = server.signed("PUT", path, body=b"%d" % number, headers={"If-None-Match": "*"})
            expecting = {**signed, "Host": server.address, "Content-Length": "1", "Expect": "100-continue"}
            connection.sendall(head("PUT", path, expecting))
            assert b"100 Continue" in connection.recv(1000)
        for number, connection in enumerate(connections):
            connection.sendall(b"%d" % number)
            statuses.append(connection.recv(4000).split()[1])
    assert statuses == [b"200", b"412", b"412", b"412"]
    assert s3.get_object(Bucket=bucket, Key="fence")["Body"].read() == b"0"


def test_no_length_and_too_much_length(server: LocalS3, kept: str) -> None:
    signed = {**server.signed("PUT", kept, body=b"x"), "Host": server.address}
    with raw(server) as connection:
        connection.sendall(head("PUT", kept, {**signed, "Transfer-Encoding": "chunked"}) + b"1\r\nx\r\n0\r\n\r\n")
        assert b" 411 " in connection.recv(100)
    with raw(server) as connection:
        connection.sendall(head("PUT", kept, {**signed, "Content-Length": str(6 * 2**30)}))
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 400
        assert b"EntityTooLarge" in response.read()


@pytest.mark.parametrize(
    "text", [b"\x16\x03\x01\x02", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100, b"GET /" + b"a" * 40_000]
)
def test_what_is_no_http(server: LocalS3, s3: Any, text: bytes) -> None:
    with raw(server) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100)[:12] in (b"", b"HTTP/1.0 400", b"HTTP/1.1 400", b"HTTP/1.0 403", b"HTTP/1.1 403")
    assert s3.list_buckets()["Buckets"]


def test_a_hundred_megabytes_take_little_memory(server: LocalS3, s3: Any, bucket: str, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"0123456789abcdef" * (100 * 2**16))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=large.read_bytes()), "abcd"))
    assert psutil.Process(server.pid).memory_info().rss < 150e6
    back = tmp_path / "back"
    s3.download_file(bucket, "a", str(back))
    assert back.read_bytes() == large.read_bytes()
    # one whose signature is wrong is refused before, or while, it is sent, and the connection ends properly
    answer = server.request("PUT", f"/{bucket}/e", body=large.read_bytes(), secret_key="wrong")
    assert answer.code == "SignatureDoesNotMatch"


def test_a_thousand_idle_clients_hurt_nobody(server: LocalS3, s3: Any, bucket: str) -> None:
    signed = {
        **server.signed("PUT", f"/{bucket}/half", body=b"x" * 1000),
        "Host": server.address,
        "Content-Length": "1000",
    }
    with contextlib.ExitStack() as stack:
        for number in range(1000):
            connection = stack.enter_context(raw(server))
            if number % 3 == 1:
                connection.sendall(b"GET / HTTP/1.1\r\nHo")
            elif number % 3 == 2:
                connection.sendall(head("PUT", f"/{bucket}/half", signed) + b"x" * 500)
        begun = time.monotonic()
        for number in range(20):
            s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")
        assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 20
        assert time.monotonic() - begun < 20
    assert psutil.Process(server.pid).memory_info().rss < 200e6


def test_old_date_header_of_version_two(server: LocalS3, s3: Any, kept: str) -> None:
    old = server.client(signature_version="s3")
    bucket = kept.split("/")[1]
    old.create_bucket(Bucket=bucket)
    assert [item["Key"] for item in old.list_objects(Bucket=bucket, Prefix="k")["Contents"]] == ["kept"]
    assert old.get_object_tagging(Bucket=bucket, Key="kept")["TagSet"] == []
    assert old.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"content"
    assert (
        server.send("GET", kept, {"Authorization": "AWS AKIALOCALTEST:x", "Date": formatdate()}).code
        == "SignatureDoesNotMatch"
    )
    with pytest.raises(ClientError, match="NoSuchKey"):
        old.get_object(Bucket=bucket, Key="none")


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_the_bucket_in_the_host_name(server: LocalS3, bucket: str, version: str) -> None:
    """As clients address `http://localhost:PORT`, whose subdomains lead to this machine as well."""
    client = server.client(signature_version=version)
    for key in ("k", f"{bucket}-k"):
        url = urlsplit(client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}))
        if version == "s3":  # what is signed is the same, whichever way the bucket is named
            client.put_object(Bucket=bucket, Key=key, Body=b"content")
            host = {"Host": f"{bucket}.localhost:{server.port}"}
            assert server.send("GET", f"/{key}?{url.query}", host).body == b"content"
        else:
            host = {"Host": f"{bucket}.localhost:{server.port}"}
            signed = server.signed("PUT", f"/{key}", headers=host, body=b"content")
            assert server.send("PUT", f"/{key}", {**signed, **host, "Content-Length": "7"}, b"content").status == 200
            assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == b"content"


def test_ipv6(tmp_path: Path) -> None:
    server = LocalS3(tmp_path, host="::1")
    try:
        server.client().create_bucket(Bucket="bucket")
        assert [item["Name"] for item in server.client().list_buckets()["Buckets"]] == ["bucket"]
    finally:
        server.stop()
