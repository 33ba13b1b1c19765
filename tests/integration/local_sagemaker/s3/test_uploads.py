"""Uploads in parts: in any order and size, sent twice, copied, given up."""

from __future__ import annotations

import hashlib
import io
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3.s3.transfer
import pytest
from botocore.exceptions import ClientError

from local_sagemaker.s3.storage import checksums
from tests.support.s3_server import LocalS3

MB = 2**20


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


class Upload:
    """One upload."""

    def __init__(self, s3: Any, bucket: str, **options: Any) -> None:
        self._s3 = s3
        self.named = {"Bucket": bucket, "Key": "big"}
        self.named["UploadId"] = s3.create_multipart_upload(**self.named, **options)["UploadId"]
        self.etags: dict[int, str] = {}

    def part(self, number: int, content: bytes) -> None:
        self.etags[number] = self._s3.upload_part(**self.named, PartNumber=number, Body=content)["ETag"]

    def complete(self, *numbers: int, **options: Any) -> Any:
        parts = [{"PartNumber": number, "ETag": self.etags[number]} for number in numbers or sorted(self.etags)]
        return self._s3.complete_multipart_upload(**self.named, MultipartUpload={"Parts": parts}, **options)

    def content(self) -> bytes:
        content: bytes = self._s3.get_object(Bucket=self.named["Bucket"], Key="big")["Body"].read()
        return content


def content_of(number: int, size: int) -> bytes:
    return random.Random(number).randbytes(size)


def checksum_of(algorithm: str, content: bytes) -> str:
    digest = checksums.digest(algorithm)
    digest.update(content)
    return checksums.encoded(digest.digest())


@pytest.mark.parametrize("seed", range(12))
def test_parts_in_any_order_and_size(s3: Any, bucket: str, seed: int) -> None:
    chance = random.Random(seed)
    upload = Upload(s3, bucket)
    numbers = sorted(chance.sample(range(1, 9), chance.randint(1, 5))) if seed % 2 else list(range(1, 5))
    sizes = {number: chance.choice([5 * MB, 5 * MB, 6 * MB, 5 * MB + 1]) for number in numbers}
    sizes[numbers[-1]] = chance.choice([1, 1000, 5 * MB])
    sent: dict[int, bytes] = {}
    for number in chance.sample(numbers, len(numbers)) + chance.choices(numbers, k=2):
        sent[number] = content_of(chance.randint(0, 1000), sizes[number])
        upload.part(number, sent[number])
    upload.part(10, content_of(1, 7))  # sent, and not wanted in the end
    answer = upload.complete(*numbers)
    assert upload.content() == b"".join(sent[number] for number in numbers)
    digests = b"".join(hashlib.md5(sent[number], usedforsecurity=False).digest() for number in numbers)
    assert answer["ETag"] == f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(numbers)}"'
    for position, number in enumerate(numbers, 1):
        part = s3.get_object(Bucket=bucket, Key="big", PartNumber=position)
        assert part["Body"].read() == sent[number]
        assert part["PartsCount"] == len(numbers)


def test_parts_of_one_number_at_once(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.part(1, content_of(0, 5 * MB))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda seed: upload.part(2, content_of(seed, 5 * MB)), range(6)))
    [_, part] = s3.list_parts(**upload.named)["Parts"]
    upload.etags[2] = part["ETag"]
    upload.complete()
    digest = hashlib.md5(upload.content()[5 * MB :], usedforsecurity=False).hexdigest()
    assert part["ETag"] == f'"{digest}"'


def test_what_cannot_be_completed(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.part(1, b"a" * 100)
    upload.part(2, b"b")
    with refused("EntityTooSmall"):
        upload.complete()
    with refused("InvalidPartOrder"):
        upload.complete(2, 1)
    upload.etags[3] = upload.etags[1]
    with refused("InvalidPart"):
        upload.complete(1, 3)
    with refused("MalformedXML"):
        s3.complete_multipart_upload(**upload.named, MultipartUpload={"Parts": []})
    s3.put_object(Bucket=bucket, Key="big", Body=b"there")
    with refused("PreconditionFailed"):
        upload.complete(2, IfNoneMatch="*")
    assert upload.content() == b"there"
    upload.complete(2)
    assert upload.content() == b"b"


def test_given_up(server: LocalS3, s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.part(1, b"a")
    folder = server.folder / ".incomplete" / upload.named["UploadId"]
    assert folder.is_dir()
    s3.abort_multipart_upload(**upload.named)
    assert not folder.exists()
    for call in (s3.list_parts, s3.abort_multipart_upload):
        with refused("NoSuchUpload"):
            call(**upload.named)
    with refused("NoSuchUpload"):
        upload.part(2, b"b")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("number", ["0", "10001", "x", "-1"])
def test_numbers_that_no_part_has(server: LocalS3, s3: Any, bucket: str, number: str) -> None:
    upload = Upload(s3, bucket)
    path = f"/{bucket}/big?partNumber={number}&uploadId={upload.named['UploadId']}"
    assert server.request("PUT", path, body=b"x").code == "InvalidArgument"


def test_copied_parts(s3: Any, bucket: str) -> None:
    source = content_of(1, 20 * MB)
    s3.put_object(Bucket=bucket, Key="source", Body=source)
    upload = Upload(s3, bucket)
    for number, (first, last) in enumerate(((0, 6 * MB - 1), (6 * MB, 12 * MB - 1), (12 * MB, 20 * MB - 1)), 1):
        answer = s3.upload_part_copy(
            **upload.named, PartNumber=number, CopySource=f"{bucket}/source", CopySourceRange=f"bytes={first}-{last}"
        )
        upload.etags[number] = answer["CopyPartResult"]["ETag"]
    upload.complete()
    assert upload.content() == source
    for wrong in ("bytes=0-99999999", "bytes=5-1", "0-1", "bytes=-1"):
        with refused("InvalidArgument|NoSuchUpload"):
            s3.upload_part_copy(**upload.named, PartNumber=1, CopySource=f"{bucket}/source", CopySourceRange=wrong)


def test_boto3_s_own_transfers(s3: Any, bucket: str) -> None:
    content = content_of(1, 21 * MB + 5)
    config = boto3.s3.transfer.TransferConfig(multipart_threshold=5 * MB, multipart_chunksize=5 * MB)
    s3.upload_fileobj(io.BytesIO(content), bucket, "big", Config=config, ExtraArgs={"Metadata": {"a": "b"}})
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "copy", Config=config)
    for key in ("big", "copy"):
        back = io.BytesIO()
        s3.download_fileobj(bucket, key, back, Config=config)
        assert back.getvalue() == content
        assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == {"a": "b"}


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_checksums_of_parts(s3: Any, bucket: str, algorithm: str, kind: str) -> None:
    member = f"Checksum{algorithm}"
    named = {"Bucket": bucket, "Key": "big"}
    named["UploadId"] = s3.create_multipart_upload(**named, ChecksumAlgorithm=algorithm, ChecksumType=kind)["UploadId"]
    contents = [content_of(1, 5 * MB), content_of(2, 7)]
    parts = []
    for number, content in enumerate(contents, 1):
        part = s3.upload_part(**named, PartNumber=number, Body=content, **{member: checksum_of(algorithm, content)})
        parts.append({"PartNumber": number, "ETag": part["ETag"], member: part[member]})
    claimed = {}
    if kind == "FULL_OBJECT":  # the checksum of the object, not of the request
        claimed = {member: checksum_of(algorithm, b"".join(contents)), "ChecksumType": kind}
        with refused("BadDigest"):
            s3.complete_multipart_upload(
                **named, MultipartUpload={"Parts": parts}, **{member: checksum_of(algorithm, b"other")}
            )
    answer = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts}, **claimed)
    assert answer["ChecksumType"] == kind
    if kind == "FULL_OBJECT":
        assert answer[member] == checksum_of(algorithm, b"".join(contents))
    else:
        assert answer[member].endswith("-2")
    assert s3.get_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")["Body"].read() == b"".join(contents)
    part = s3.get_object(Bucket=bucket, Key="big", PartNumber=2, ChecksumMode="ENABLED")
    assert (part[member], part["ChecksumType"]) == (checksum_of(algorithm, contents[1]), kind)


def test_lists_of_uploads_and_parts_in_pages(s3: Any, bucket: str) -> None:
    keys = ["a", "a", "b/c", "b/d"]
    ids = [s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in keys]
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    assert [item["UploadId"] for page in pages for item in page["Uploads"]] == ids
    found = s3.list_multipart_uploads(Bucket=bucket, Prefix="b/")
    assert [item["Key"] for item in found["Uploads"]] == ["b/c", "b/d"]
    for number in range(1, 6):
        s3.upload_part(Bucket=bucket, Key="b/c", UploadId=ids[2], PartNumber=number, Body=b"x")
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="b/c", UploadId=ids[2], PaginationConfig={"PageSize": 2}
    )
    assert [part["PartNumber"] for page in pages for part in page["Parts"]] == [1, 2, 3, 4, 5]
