"""Operations of buckets."""

from __future__ import annotations

import re

from aiohttp import web

from local_sagemaker.s3.errors import S3Error, not_implemented
from local_sagemaker.s3.protocol import object_headers, responses, xml_text
from local_sagemaker.s3.protocol.call import Call
from local_sagemaker.s3.protocol.paging import page_size
from local_sagemaker.s3.protocol.xml_text import Node
from local_sagemaker.s3.storage.catalog import Bucket

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d+")
_DEFAULT_REGION = "us-east-1"


async def list_buckets(call: Call) -> web.Response:
    """ListBuckets."""
    limit = page_size(call.query, "max-buckets", 10_000)
    after, prefix = call.query.get("continuation-token", ""), call.query.get("prefix", "")
    region = call.query.get("bucket-region")
    found = [
        bucket
        for bucket in await call.run(call.objects.buckets)
        if bucket.name > after and bucket.name.startswith(prefix) and region in (None, _region(call, bucket))
    ]
    page = found[:limit]
    nodes: list[Node] = [("Owner", responses.OWNER)]
    nodes.append(
        (
            "Buckets",
            [
                ("Bucket", [("Name", bucket.name), ("CreationDate", responses.timestamp(bucket.created))])
                for bucket in page
            ],
        )
    )
    if len(found) > len(page) and page:
        nodes.append(("ContinuationToken", page[-1].name))
    return responses.xml("ListAllMyBucketsResult", nodes)


async def create_bucket(call: Call) -> web.Response:
    """CreateBucket; creating a bucket that the caller already owns succeeds only in us-east-1, as on AWS."""
    object_headers.check_acl(call.headers)
    if call.headers.get("x-amz-bucket-object-lock-enabled", "false").lower() != "false":
        raise not_implemented("Object lock")
    if call.headers.get("x-amz-object-ownership", "BucketOwnerEnforced") != "BucketOwnerEnforced":
        raise not_implemented(f"The object ownership {call.headers['x-amz-object-ownership'][:50]}")
    body = await call.document()
    location, tags = _configuration(bytes(body)) if body else (_DEFAULT_REGION, None)
    region = call.caller.region
    if region not in (_DEFAULT_REGION, location):
        text = f"The {location} location constraint is incompatible for the region specific endpoint"
        raise S3Error("IllegalLocationConstraintException", f"{text} this request was sent to.")
    created = await call.run(call.objects.create_bucket, call.bucket, location, tags)
    if not created and region != _DEFAULT_REGION:
        text = "Your previous request to create the named bucket succeeded and you already own it."
        raise S3Error("BucketAlreadyOwnedByYou", text, {"BucketName": call.bucket})
    return responses.empty(headers={"Location": f"/{call.bucket}"})


def _configuration(body: bytes) -> tuple[str, dict[str, str] | None]:
    root = xml_text.parse(body, "CreateBucketConfiguration")
    location, tags = _DEFAULT_REGION, None
    for node in root:
        if node.tag == "LocationConstraint":
            location = {"EU": "eu-west-1"}.get(node.text or "", node.text or _DEFAULT_REGION)
        elif node.tag == "Tags":
            pairs = [(xml_text.text_of(tag, "Key"), xml_text.text_of(tag, "Value")) for tag in node.findall("Tag")]
            tags = object_headers.checked_tags(pairs, object_headers.MAX_BUCKET_TAGS)
        else:
            raise not_implemented(f"{node.tag[:50]} of CreateBucket")
    if not _REGION.fullmatch(location):
        raise S3Error("InvalidLocationConstraint", "The specified location-constraint is not valid")
    return location, tags


async def delete_bucket(call: Call) -> web.Response:
    """DeleteBucket."""
    await call.run(call.objects.delete_bucket, call.bucket)
    return responses.empty(204)


async def head_bucket(call: Call) -> web.Response:
    """HeadBucket."""
    bucket = await call.run(call.objects.bucket, call.bucket)
    return responses.empty(headers={"x-amz-bucket-region": _region(call, bucket)})


def _region(call: Call, bucket: Bucket) -> str:
    """The bucket's region; a folder that was created by hand counts as in the caller's region."""
    return bucket.location or call.caller.region


async def get_bucket_location(call: Call) -> web.Response:
    """GetBucketLocation."""
    bucket = await call.run(call.objects.bucket, call.bucket)
    body = xml_text.document("LocationConstraint", [])
    if (region := _region(call, bucket)) != _DEFAULT_REGION:
        body = body.replace(b"></", f">{region}</".encode())
    return web.Response(body=body, content_type="application/xml")


async def get_bucket_versioning(call: Call) -> web.Response:
    """GetBucketVersioning: versioning is never enabled."""
    await call.run(call.objects.bucket, call.bucket)
    return responses.xml("VersioningConfiguration", [])
