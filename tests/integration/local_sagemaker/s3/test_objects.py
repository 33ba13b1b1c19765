"""Single objects: content, headers, conditions, ranges, tags, copies, and the files that they are."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.s3_server import LocalS3


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


def test_what_was_sent_comes_back(server: LocalS3, s3: Any, bucket: str) -> None:
    headers = {
        "ContentType": "text/plain", "CacheControl": "no-cache", "ContentEncoding": "gzip",
        "ContentDisposition": 'attachment; filename="a"', "ContentLanguage": "de", "StorageClass": "STANDARD_IA",
        "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key", "Metadata": {"My-Key": "A value", "other": ""},
    }  # fmt: skip
    put = s3.put_object(Bucket=bucket, Key="models/1/model.tar.gz", Body=b"content", Tagging="a=1&b=x%20y", **headers)
    for found in (
        s3.get_object(Bucket=bucket, Key="models/1/model.tar.gz"),
        s3.head_object(Bucket=bucket, Key="models/1/model.tar.gz"),
    ):
        assert {name: found[name] for name in headers} == {**headers, "Metadata": {"my-key": "A value", "other": ""}}
        assert (found["ETag"], found["ContentLength"]) == (put["ETag"], 7) == ('"9a0364b9e99bb480dd25e1f0284c8555"', 7)
    tags = s3.get_object_tagging(Bucket=bucket, Key="models/1/model.tar.gz")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "1", "b": "x y"}
    assert (server.folder / bucket / "models/1/model.tar.gz").read_bytes() == b"content"


def test_a_file_put_there_by_hand_is_an_object(server: LocalS3, s3: Any, bucket: str) -> None:
    file = server.folder / bucket / "by" / "hand"
    file.parent.mkdir()
    file.write_bytes(b"one")
    first = s3.get_object(Bucket=bucket, Key="by/hand")
    assert (first["Body"].read(), first["ContentType"]) == (b"one", "binary/octet-stream")
    s3.put_object(Bucket=bucket, Key="by/hand", Body=b"two", Metadata={"a": "b"})
    assert s3.head_object(Bucket=bucket, Key="by/hand")["Metadata"] == {"a": "b"}
    file.write_bytes(b"three")
    changed = s3.head_object(Bucket=bucket, Key="by/hand")
    assert (changed["Metadata"], changed["ContentLength"]) == ({}, 5)
    assert changed["ETag"] not in (first["ETag"], "")
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ETag"] == changed["ETag"]
    s3.put_object_tagging(Bucket=bucket, Key="by/hand", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    assert s3.head_object(Bucket=bucket, Key="by/hand")["ETag"] == changed["ETag"]


def test_what_is_no_plain_file_is_no_object(server: LocalS3, s3: Any, bucket: str) -> None:
    folder = server.folder / bucket
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "linked").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    (folder / "not-utf8\udcff").write_bytes(b"")
    for key in ("link", "linked/passwd", "pipe", "../" + bucket, "."):
        with refused("NoSuchKey"):
            s3.get_object(Bucket=bucket, Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    with refused("BucketNotEmpty"):
        s3.delete_bucket(Bucket=bucket)


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(lambda key: key[0] != "/")


@settings(max_examples=60)
@given(
    keys=st.lists(
        st.one_of(KEYS, st.sampled_from(["a", "a/", "a/b", "a//b", "a/../b", "/a", "%2F", "a+b c"])),
        max_size=5,
        unique=True,
    )
)
def test_any_key_is_kept_as_it_is(s3: Any, keys: list[str]) -> None:
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    listed = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert listed == sorted(keys, key=str.encode)
    for key in keys:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
        s3.copy_object(Bucket=bucket, Key=f"copy/{key}", CopySource={"Bucket": bucket, "Key": key})
        assert s3.get_object(Bucket=bucket, Key=f"copy/{key}")["Body"].read() == key.encode()
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)
        s3.delete_object(Bucket=bucket, Key=f"copy/{key}")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)


def test_an_object_and_a_folder_of_one_name(server: LocalS3, s3: Any, bucket: str) -> None:
    for key in ("a", "a/b", "a/b/c", "a/"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert sorted(server.contents(bucket)) == ["a%s3", "a/%s3", "a/b%s3", "a/b/c"]
    s3.delete_object(Bucket=bucket, Key="a/b/c")
    for key in ("a", "a/b", "a/"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    s3.put_object(Bucket=bucket, Key="a", Body=b"new")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"new"


def test_conditions_of_writes(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch='"other"')
    with refused("NoSuchKey"):
        s3.put_object(Bucket=bucket, Key="none", Body=b"2", IfMatch=etag)
    with refused("PreconditionFailed"):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", IfNoneMatch="*", MetadataDirective="REPLACE")
    with refused("PreconditionFailed"):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch='"other"')
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"


def test_conditions_of_reads_and_copies(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    now = datetime.now(UTC)
    for good in (
        {"IfMatch": etag},
        {"IfNoneMatch": '"x"'},
        {"IfModifiedSince": now - timedelta(1)},
        {"IfUnmodifiedSince": now + timedelta(1)},
    ):
        assert s3.get_object(Bucket=bucket, Key="k", **good)["Body"].read() == b"1"
        source = {f"CopySource{name}": value for name, value in good.items()}
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", **source)
    bad = (
        ({"IfMatch": '"x"'}, 412), ({"IfNoneMatch": etag}, 304),
        ({"IfModifiedSince": now + timedelta(seconds=5)}, 304), ({"IfUnmodifiedSince": now - timedelta(1)}, 412),
    )  # fmt: skip
    for condition, status in bad:
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=bucket, Key="k", **condition)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        with refused("PreconditionFailed"):
            source = {f"CopySource{name}": value for name, value in condition.items()}
            s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", **source)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-0", b"0"), ("bytes=2-4", b"234"), ("bytes=8-100", b"89"), ("bytes=5-", b"56789"),
        ("bytes=-3", b"789"), ("bytes=-100", b"0123456789"), ("bytes=4-2", None), ("bytes=0-1,3-4", None),
        ("items=0-1", None), ("bytes=a-b", None), ("bytes=-", None),
    ],
)  # fmt: skip
def test_ranges(s3: Any, bucket: str, text: str, expected: bytes | None) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    found = s3.get_object(Bucket=bucket, Key="k", Range=text)
    assert found["Body"].read() == (b"0123456789" if expected is None else expected)
    assert found["ResponseMetadata"]["HTTPStatusCode"] == (200 if expected is None else 206)
    assert ("ContentRange" in found) == (expected is not None)


@pytest.mark.parametrize("text", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=999999999999-"])
def test_ranges_beyond_the_end(s3: Any, bucket: str, text: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    with refused("InvalidRange"):
        s3.get_object(Bucket=bucket, Key="k", Range=text)


def test_copies_keep_or_replace(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Metadata={"a": "1"}, ContentType="text/x", Tagging="t=1")
    s3.copy_object(Bucket=bucket, Key="same", CopySource=f"{bucket}/k")
    s3.copy_object(
        Bucket=bucket, Key="new", CopySource=f"/{bucket}/k", MetadataDirective="REPLACE", Metadata={"b": "2"},
        ContentType="text/y", TaggingDirective="REPLACE", Tagging="u=2",
    )  # fmt: skip
    for key, metadata, kind, tag in (("same", {"a": "1"}, "text/x", "t"), ("new", {"b": "2"}, "text/y", "u")):
        found = s3.head_object(Bucket=bucket, Key=key)
        assert (found["Metadata"], found["ContentType"]) == (metadata, kind)
        assert s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"][0]["Key"] == tag
    with refused("InvalidRequest"):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k")
    with refused("NoSuchKey"):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/none")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


def test_presigned_addresses_of_both_signatures(server: LocalS3, s3: Any, bucket: str) -> None:
    for client in (s3, server.client(signature_version="s3v4"), server.client(signature_version="s3")):
        key = "pre signed/ü+%"
        url = client.generate_presigned_url("put_object", {"Bucket": bucket, "Key": key})
        with urllib.request.urlopen(
            urllib.request.Request(url, data=b"content", method="PUT", headers={"Content-Type": ""})
        ) as answer:
            assert answer.status == 200
        url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key, "ResponseContentType": "a/b"})
        with urllib.request.urlopen(url) as answer:
            assert (answer.read(), answer.headers["Content-Type"]) == (b"content", "a/b")
        for changed in (
            url.replace("a%2Fb", "a%2Fc"),
            url.replace("ignature=", "ignature=0"),
            url.replace("pre", "prf"),
        ):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(changed)
        expired = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}, ExpiresIn=-10)
        with pytest.raises(urllib.error.HTTPError, match=r"40[03]"):
            urllib.request.urlopen(expired)


def put(url: str, body: bytes = b"content", **headers: str) -> int:
    request = urllib.request.Request(url, data=body, method="PUT", headers={"Content-Type": "", **headers})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_headers_in_the_query_of_a_version_2_address(server: LocalS3, s3: Any, bucket: str) -> None:
    wanted = {"Metadata": {"Owner": "x y"}, "ContentType": "text/csv", "Tagging": "a=b", "ChecksumAlgorithm": "SHA256"}
    client = server.client(signature_version="s3")
    url = client.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "k", **wanted})
    assert put(url, **{"Content-Type": "text/csv"}) == 200
    found = s3.head_object(Bucket=bucket, Key="k")
    assert (found["Metadata"], found["ContentType"]) == ({"owner": "x y"}, "text/csv")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert put(url.replace("x%20y", "z"), **{"Content-Type": "text/csv"}) == 403
    assert put(url, **{"Content-Type": "text/html"}) == 403
    assert urllib.request.urlopen(
        client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k", "ChecksumMode": "ENABLED"})
    ).read()


@pytest.mark.parametrize(
    ("parameters", "status", "metadata"),
    [
        # the JavaScript SDK signs the checksum of an empty body, which the service ignores
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "CRC32", "x-id": "PutObject"}, 200, {}),
        ({"x-amz-meta-owner": "x", "X-Amz-Meta-Team": "y z"}, 200, {"owner": "x", "team": "y z"}),
        ({"x-amz-acl": "public-read"}, 400, None),
        ({"x-amz-expected-bucket-owner": "000000000000"}, 403, None),
        ({"x-amz-meta-owner": "x\r\ny: z"}, 400, None),
        ({"x-amz-grant-read": "x"}, 501, None),
        ({"content-type": "text/csv"}, 501, None),
    ],
)
def test_headers_in_the_query_of_a_version_4_address(
    server: LocalS3, s3: Any, bucket: str, parameters: dict[str, str], status: int, metadata: dict[str, str] | None
) -> None:
    client = server.client(signature_version="s3v4")
    # on its way to the signature, as the JavaScript SDK's presigner does it
    client.meta.events.register(
        "before-sign.s3.PutObject", lambda request, **_: request.params.update(parameters), unique_id="moved"
    )
    url = client.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "k"})
    assert "meta" not in str(parameters) or "eta-" in url
    assert put(url) == status
    if metadata is not None:
        assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == metadata
        assert put(url.replace("=x&", "=changed&").replace("AAAAAA", "BAAAAA")) == 403


@pytest.mark.parametrize(
    ("age", "lifetime", "status"),
    [(3600, 3500, 403), (3600, 3700, 200), (-3600, 600, 403)],
    ids=["over", "valid", "early"],
)
def test_a_presigned_address_is_valid_for_its_seconds(
    server: LocalS3, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, age: int, lifetime: int, status: int
) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"content")
    signed = datetime.now(UTC) - timedelta(seconds=age)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_args, **_kwargs: signed.replace(tzinfo=None))
    client = server.client(signature_version="s3v4")
    url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "key"}, ExpiresIn=lifetime)
    if status == 200:
        assert urllib.request.urlopen(url).read() == b"content"
    else:
        with pytest.raises(urllib.error.HTTPError, match=str(status)):
            urllib.request.urlopen(url)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5"])
def test_checksums(s3: Any, bucket: str, algorithm: str) -> None:
    from local_sagemaker.s3.storage import checksums

    digest = checksums.digest(algorithm)
    digest.update(b"content")
    value = checksums.encoded(digest.digest())
    member = f"Checksum{algorithm}"
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"content", **{member: value})[member] == value
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[member] == value
    with refused("BadDigest|InvalidRequest"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"other", **{member: value})
    with refused("InvalidRequest"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"other", **{member: "AAAA"})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"


def test_tags_within_their_limits(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="a=1")
    eleven = {"TagSet": [{"Key": str(number), "Value": ""} for number in range(11)]}
    twice = {"TagSet": [{"Key": "a", "Value": ""}, {"Key": "a", "Value": ""}]}
    long = {"TagSet": [{"Key": "a" * 129, "Value": ""}]}
    for tags in (eleven, twice, long):
        with refused("InvalidTag|BadRequest"):
            s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tags)
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    with refused("NoSuchKey"):
        s3.put_object_tagging(Bucket=bucket, Key="none", Tagging={"TagSet": []})


def test_many_deleted_at_once(s3: Any, bucket: str) -> None:
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"")
    wanted = [{"Key": "k0"}, {"Key": "none"}, {"Key": "k1", "VersionId": "x"}, {"Key": "k2", "ETag": '"y"'}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert [item["Key"] for item in answer["Deleted"]] == ["k0", "none"]
    assert [(item["Key"], item["Code"]) for item in answer["Errors"]] == [
        ("k1", "InvalidArgument"),
        ("k2", "PreconditionFailed"),
    ]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k3"}], "Quiet": True})
    assert "Deleted" not in answer
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k1", "k2", "k4"]


def test_buckets(server: LocalS3, s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)  # one's own, once more, is fine in us-east-1 alone
    europe = server.client(region="eu-central-1")
    constraint = {"LocationConstraint": "eu-central-1"}
    with refused("IllegalLocationConstraintException"):
        europe.create_bucket(Bucket=f"{bucket}-eu")
    europe.create_bucket(Bucket=f"{bucket}-eu", CreateBucketConfiguration=constraint)
    with refused("BucketAlreadyOwnedByYou"):
        europe.create_bucket(Bucket=f"{bucket}-eu", CreateBucketConfiguration=constraint)
    assert s3.get_bucket_location(Bucket=f"{bucket}-eu")["LocationConstraint"] == "eu-central-1"
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"")
    with refused("BucketNotEmpty"):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="a/b")
    s3.delete_bucket(Bucket=bucket)
    with refused("NoSuchBucket"):
        s3.list_objects_v2(Bucket=bucket)
    for call in (s3.put_object, s3.create_multipart_upload):
        with refused("NoSuchBucket"):
            call(Bucket=bucket, Key="k")
    assert not (server.folder / bucket).exists()
