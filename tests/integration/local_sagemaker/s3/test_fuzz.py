"""Requests made at random: properly signed, each answered with a success or a refusal, none with a fault."""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from local_sagemaker.s3.protocol.operations import SERVED, operations
from tests.support.s3_server import LocalS3

TOLD_APART = {item for operation in operations() for item in operation.query}
QUERIES = sorted(TOLD_APART | {name for known, _ in SERVED.values() for name in known})
OPERATIONS = [operation for operation in operations() for _ in range(8 if operation.name in SERVED else 1)]
HEADERS = sorted({name for _, known in SERVED.values() for name in known} | {"if-match", "if-none-match", "range"})
WORDS = [
    "", "0", "1", "-1", "1000", "99999999999999999999", "null", "true", "*", '"x"', "bytes=0-1", "bytes=5-", "a=1&b=2",
    "url",
    "AES256", "private", "COPY", "REPLACE", "CRC32", "AAAAAA==", "k0", "/", "%", "\u00fc", "2026-11-30T00:00:00Z",
    "x" * 1500, "Mon, 30 Nov 2026 00:00:00 GMT", "ETag,ObjectSize",
    "STANDARD", "COMPOSITE", "FULL_OBJECT", "\u2028", "<&>", "a" * 64,
]  # fmt: skip
KEYS = [
    "",
    "k0",
    "k1",
    "k0/x",
    "k0/",
    "k0//y",
    "..",
    "../x",
    "%s3",
    "a%00b",
    "ü",
    "z" * 300,
    "b\x01c",
    "%ff",
    "k" * 1030,
]
TAG = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
BODIES = [
    b"", b"x", b"content" * 1000, TAG, b"<Delete><Object><Key>k1</Key></Object></Delete>", b"<a", b"\x00\xff",
    b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
    b"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>",
]  # fmt: skip


class Requests:
    """Random requests about a few buckets, with what earlier ones were answered woven in."""

    def __init__(self, server: LocalS3, seed: int) -> None:
        self._server = server
        self._chance = random.Random(seed)
        self._buckets = [f"fuzz-{uuid.uuid4().hex[:8]}" for _ in range(3)]
        for bucket in self._buckets:
            server.client().create_bucket(Bucket=bucket)
        self._words = list(WORDS)

    def next(self) -> tuple[int, str, str]:
        """Send one; gives status, code and what was sent."""
        chance = self._chance
        operation = chance.choice(OPERATIONS)
        known_query, known_headers = SERVED.get(operation.name, (QUERIES, HEADERS))
        method = operation.method if chance.random() < 0.9 else chance.choice(["OPTIONS", "PATCH", "PUT", "GET"])
        bucket = (
            "" if operation.level == "service" else chance.choice([*self._buckets * 5, "none", ".incomplete", "A_b"])
        )
        key = chance.choice(KEYS) if operation.level == "object" else ""
        path = f"/{bucket}" + (f"/{quote(key, safe='/%' if chance.random() < 0.1 else '/')}" if key else "")
        names = [*operation.query, *self._some(known_query)]
        query = "&".join(name if "=" in name else f"{name}={quote(self._word(), safe='')}" for name in names)
        path += f"?{query}" if query else ""
        headers = {name: self._word().strip() for name in (*operation.headers, *self._some(known_headers))}
        if "x-amz-copy-source" in headers:
            headers["x-amz-copy-source"] = f"/{chance.choice(self._buckets)}/{quote(chance.choice(KEYS))}"
        headers = {name: quote(value, safe=' /=&%,*:-"<>') for name, value in headers.items()}
        answer = self._server.request(method, path, headers=headers, body=chance.choice(BODIES))
        for mark in (b"UploadId", b"ETag", b"NextContinuationToken"):
            if found := answer.body.partition(b"<%s>" % mark)[2].partition(b"<")[0]:
                self._words.append(found.decode())
        if answer.code == "NoSuchBucket" and bucket in self._buckets:  # deleted by an earlier one
            self._server.client().create_bucket(Bucket=bucket)
        return answer.status, answer.code, f"{method} {path} {headers}"

    def _some(self, names: Collection[str]) -> list[str]:
        return self._chance.sample(sorted(names), min(len(names), self._chance.choice([0, 0, 0, 1, 1, 2])))

    def _word(self) -> str:
        return self._chance.choice(self._words[-60:] if self._chance.random() < 0.3 else WORDS)


@pytest.mark.parametrize("count", [600, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_no_request_is_answered_with_a_fault(server: LocalS3, s3: Any, count: int) -> None:
    def work(seed: int) -> list[str]:
        requests = Requests(server, seed)
        answers = [requests.next() for _ in range(count // 4)]
        assert {200, 400, 404, 501} <= {status for status, _, _ in answers}
        return [f"{status} {code}: {sent}" for status, code, sent in answers if status >= 500 and status != 501]

    pid = server.pid
    with ThreadPoolExecutor(4) as pool:
        faults = [fault for faults in pool.map(work, random.sample(range(2**32), 4)) for fault in faults]
    assert faults == []
    assert server.pid == pid
    assert s3.list_buckets()["Buckets"]
