"""Tags of objects and buckets."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from local_sagemaker.s3.actions.versions import check_version
from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.protocol import object_headers, responses, xml_text
from local_sagemaker.s3.protocol.call import Call
from local_sagemaker.s3.protocol.xml_text import Node


async def get_object_tagging(call: Call) -> web.Response:
    """GetObjectTagging."""
    check_version(call.query)
    found = await call.run(call.objects.find, call.bucket, call.key)
    return _tagging(found.info.tags)


async def put_object_tagging(call: Call) -> web.Response:
    """PutObjectTagging."""
    check_version(call.query)
    tags = _parse(await call.document())
    await call.run(call.objects.tag, call.bucket, call.key, object_headers.checked_tags(tags))
    return responses.empty()


async def delete_object_tagging(call: Call) -> web.Response:
    """DeleteObjectTagging."""
    check_version(call.query)
    await call.run(call.objects.tag, call.bucket, call.key, {})
    return responses.empty(204)


async def get_bucket_tagging(call: Call) -> web.Response:
    """GetBucketTagging."""
    bucket = await call.run(call.objects.bucket, call.bucket)
    if bucket.tags is None:
        raise S3Error("NoSuchTagSet", "The TagSet does not exist", {"BucketName": call.bucket})
    return _tagging(bucket.tags)


async def put_bucket_tagging(call: Call) -> web.Response:
    """PutBucketTagging."""
    tags = object_headers.checked_tags(_parse(await call.document()), object_headers.MAX_BUCKET_TAGS)
    await call.run(call.objects.tag_bucket, call.bucket, tags)
    return responses.empty(204)


async def delete_bucket_tagging(call: Call) -> web.Response:
    """DeleteBucketTagging."""
    await call.run(call.objects.tag_bucket, call.bucket, None)
    return responses.empty(204)


def _parse(body: bytes | bytearray) -> list[tuple[str, str]]:
    tag_set = xml_text.parse(body, "Tagging").find("TagSet")
    if tag_set is None:
        raise xml_text.malformed()
    return [(xml_text.text_of(tag, "Key"), xml_text.text_of(tag, "Value")) for tag in tag_set.findall("Tag")]


def _tagging(tags: Mapping[str, str]) -> web.Response:
    nodes: list[Node] = [("Tag", [("Key", name), ("Value", value)]) for name, value in sorted(tags.items())]
    return responses.xml("Tagging", [("TagSet", nodes)])
