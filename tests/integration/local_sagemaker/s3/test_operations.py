"""Every operation of botocore's model: served rightly, or refused by its name with nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

from local_sagemaker.s3.app import ACTIONS
from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.protocol.operations import SERVED, check_served, operation_of, operations
from tests.support.s3_server import LocalS3

MODEL: Any = Session().get_service_model("s3")
SAME_REQUEST = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
"""Operations that no server can tell from the other one."""
HANDLED_ELSEWHERE = ("cache-control", "content-", "expires", "if-", "range")
"""Headers beside x-amz-*, which the served operations take."""
EVERYWHERE = {"x-amz-expected-bucket-owner", "x-amz-request-payer", "x-amz-sdk-checksum-algorithm"}


def members(operation: Any, location: str) -> dict[str, bool]:
    """The names that an operation's members have there, and whether it needs them."""
    shape = operation.input_shape
    found = shape.members.items() if shape else ()
    return {
        member.serialization["name"]: name in shape.required_members
        for name, member in found
        if member.serialization.get("location") == location
    }


def request_of(name: str) -> tuple[str, str, dict[str, str], set[str]]:
    """Method, level, query and headers of the least request for an operation."""
    operation = MODEL.operation_model(name)
    path, _, literals = operation.http["requestUri"].partition("?")
    level = "object" if "{Key+}" in path else "bucket" if "{Bucket}" in path else "service"
    query = dict(item.partition("=")[::2] for item in literals.split("&") if item)
    query |= {name: "1" for name, needed in members(operation, "querystring").items() if needed}
    return (
        operation.http["method"],
        level,
        query,
        {name.lower() for name, needed in members(operation, "header").items() if needed},
    )


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_each_operation_is_told_from_all_others(name: str) -> None:
    if name == "WriteGetObjectResponse":  # at a path that is a bucket of this name anywhere else
        return
    assert operation_of(*request_of(name)).name == SAME_REQUEST.get(name, name)


def test_the_table_holds_nothing_that_s3_has_not() -> None:
    assert {operation.name for operation in operations()} == set(MODEL.operation_names) - set(SAME_REQUEST)
    assert set(ACTIONS) == set(SERVED)


@pytest.mark.parametrize("name", sorted(SERVED))
def test_no_member_of_a_served_operation_is_ignored(name: str) -> None:
    """A member is among those that the operation takes, or it is refused by name."""
    method, level, query, headers = request_of(name)
    operation, model = operation_of(method, level, query, headers), MODEL.operation_model(name)
    known_query, known_headers = SERVED[name]
    for member in members(model, "querystring"):
        if member not in known_query | set(query):
            with pytest.raises(S3Error, match=f"'{member}' of {name} is not supported"):
                check_served(operation, {**query, member: "1"}, headers)
    for member in map(str.lower, members(model, "header")):
        if not member.startswith("x-amz-"):
            assert member.startswith(HANDLED_ELSEWHERE)
        elif member not in known_headers | headers | EVERYWHERE:
            with pytest.raises(S3Error, match=f"'{member}' of {name} is not supported"):
                check_served(operation, query, {*headers, member})


def least(shape: Any, name: str = "") -> Any:
    """A value with the members that a shape needs."""
    if shape.type_name == "structure":
        needed = shape.required_members or (list(shape.members)[:1] if shape.is_tagged_union else ())
        return {key: least(shape.members[key], key) for key in needed}
    if shape.type_name == "list":
        return [least(shape.member)]
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "1" * max(1, shape.metadata.get("min", 1))
    return {"integer": 1, "long": 1, "boolean": True, "timestamp": 0, "blob": b"x", "map": {}}[shape.type_name]


@pytest.mark.parametrize("name", [name for name in MODEL.operation_names if name not in {*SERVED, *SAME_REQUEST}])
def test_what_is_not_served_is_refused_by_name_and_changes_nothing(
    server: LocalS3, s3: Any, bucket: str, name: str
) -> None:
    s3.put_object(Bucket=bucket, Key="kept", Body=b"content", Tagging="a=1", Metadata={"m": "1"})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "b", "Value": "2"}]})
    before = server.contents(bucket)
    request = {**least(MODEL.operation_model(name).input_shape), "Bucket": bucket, "Key": "kept"}
    request = {key: value for key, value in request.items() if key in MODEL.operation_model(name).input_shape.members}
    with pytest.raises(ClientError) as caught:
        s3._make_api_call(name, request)
    error = caught.value.response["Error"]
    if name == "WriteGetObjectResponse":  # signed for another service
        assert error["Code"] == "AuthorizationHeaderMalformed"
    else:
        assert error["Code"] == "NotImplemented", error
        assert f"The operation {name} is not supported" in error["Message"]
    assert server.contents(bucket) == before
    found = s3.get_object(Bucket=bucket, Key="kept")
    assert (found["Body"].read(), found["Metadata"], found["TagCount"]) == (b"content", {"m": "1"}, 1)
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "b", "Value": "2"}]


def upload(s3: Any, bucket: str) -> str:
    return str(s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"])


def completed(s3: Any, bucket: str) -> Any:
    upload_id = upload(s3, bucket)
    named = {"Bucket": bucket, "Key": "big", "UploadId": upload_id}
    part = s3.upload_part(**named, PartNumber=1, Body=b"x" * 10)
    assert [item["Size"] for item in s3.list_parts(**named)["Parts"]] == [10]
    assert [item["UploadId"] for item in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload_id]
    return s3.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})


def part_copied(s3: Any, bucket: str) -> Any:
    named = {"Bucket": bucket, "Key": "big", "UploadId": upload(s3, bucket)}
    return s3.upload_part_copy(**named, PartNumber=1, CopySource=f"{bucket}/kept", CopySourceRange="bytes=0-2")


TAGS = {"TagSet": [{"Key": "k", "Value": "v"}]}
RIGHT: dict[str, Callable[[Any, str], Any]] = {
    "AbortMultipartUpload": lambda s3, b: s3.abort_multipart_upload(Bucket=b, Key="big", UploadId=upload(s3, b)),
    "CompleteMultipartUpload": lambda s3, b: completed(s3, b)["ETag"].endswith('-1"'),
    "CopyObject": lambda s3, b: s3.copy_object(Bucket=b, Key="c", CopySource=f"{b}/kept")["CopyObjectResult"]["ETag"],
    "CreateBucket": lambda s3, b: s3.create_bucket(Bucket=b)["Location"] == f"/{b}",
    "CreateMultipartUpload": upload,
    "DeleteBucket": lambda s3, b: s3.delete_object(Bucket=b, Key="kept") and s3.delete_bucket(Bucket=b),
    "DeleteBucketTagging": lambda s3, b: s3.delete_bucket_tagging(Bucket=b),
    "DeleteObject": lambda s3, b: s3.delete_object(Bucket=b, Key="kept"),
    "DeleteObjectTagging": lambda s3, b: s3.delete_object_tagging(Bucket=b, Key="kept"),
    "DeleteObjects": lambda s3, b: s3.delete_objects(Bucket=b, Delete={"Objects": [{"Key": "kept"}]})["Deleted"],
    "GetBucketLocation": lambda s3, b: s3.get_bucket_location(Bucket=b)["LocationConstraint"] is None,
    "GetBucketTagging": lambda s3, b: (
        s3.put_bucket_tagging(Bucket=b, Tagging=TAGS) and s3.get_bucket_tagging(Bucket=b)["TagSet"] == TAGS["TagSet"]
    ),
    "GetBucketVersioning": lambda s3, b: "Status" not in s3.get_bucket_versioning(Bucket=b),
    "GetObject": lambda s3, b: s3.get_object(Bucket=b, Key="kept")["Body"].read() == b"content",
    "GetObjectAttributes": lambda s3, b: (
        s3.get_object_attributes(Bucket=b, Key="kept", ObjectAttributes=["ObjectSize"])["ObjectSize"] == 7
    ),
    "GetObjectTagging": lambda s3, b: (
        s3.put_object_tagging(Bucket=b, Key="kept", Tagging=TAGS)
        and s3.get_object_tagging(Bucket=b, Key="kept")["TagSet"] == TAGS["TagSet"]
    ),
    "HeadBucket": lambda s3, b: s3.head_bucket(Bucket=b)["BucketRegion"] == "us-east-1",
    "HeadObject": lambda s3, b: s3.head_object(Bucket=b, Key="kept")["ContentLength"] == 7,
    "ListBuckets": lambda s3, b: b in [item["Name"] for item in s3.list_buckets()["Buckets"]],
    "ListMultipartUploads": completed,
    "ListObjectVersions": lambda s3, b: (
        [v["VersionId"] for v in s3.list_object_versions(Bucket=b)["Versions"]] == ["null"]
    ),
    "ListObjects": lambda s3, b: [item["Key"] for item in s3.list_objects(Bucket=b)["Contents"]] == ["kept"],
    "ListObjectsV2": lambda s3, b: [item["Key"] for item in s3.list_objects_v2(Bucket=b)["Contents"]] == ["kept"],
    "ListParts": completed,
    "PutBucketTagging": lambda s3, b: s3.put_bucket_tagging(Bucket=b, Tagging=TAGS),
    "PutObject": lambda s3, b: s3.put_object(Bucket=b, Key="kept", Body=b"x")["ETag"],
    "PutObjectTagging": lambda s3, b: s3.put_object_tagging(Bucket=b, Key="kept", Tagging=TAGS),
    "UploadPart": completed,
    "UploadPartCopy": lambda s3, b: part_copied(s3, b)["CopyPartResult"]["ETag"],
}


@pytest.mark.parametrize("name", sorted(SERVED))
def test_what_is_served_is_right(s3: Any, bucket: str, name: str) -> None:
    s3.put_object(Bucket=bucket, Key="kept", Body=b"content")
    assert RIGHT[name](s3, bucket)
