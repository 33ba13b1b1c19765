"""Listing the objects of a bucket."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.protocol import responses
from local_sagemaker.s3.protocol.call import Call
from local_sagemaker.s3.protocol.paging import last_of, page_size, token_of
from local_sagemaker.s3.protocol.xml_text import Node
from local_sagemaker.s3.storage.listing import Page, list_page
from local_sagemaker.s3.storage.objects import StoredObject

_MAX_KEYS = 1000


async def list_objects(call: Call) -> web.Response:
    """ListObjects, version 1."""
    encode = encoder(call)
    marker, delimiter = call.query.get("marker", ""), call.query.get("delimiter", "")
    page = await _page(call, marker)
    nodes = [*_common(call, encode), ("Marker", encode(marker)), ("IsTruncated", page.truncated)]
    if page.truncated and delimiter:
        nodes.append(("NextMarker", encode(page.last)))
    nodes += [("Contents", _content(found, encode, owner=True)) for found in page.objects]
    return responses.xml("ListBucketResult", [*nodes, *_prefixes(page, encode)])


async def list_objects_v2(call: Call) -> web.Response:
    """ListObjectsV2."""
    encode = encoder(call)
    start, token = call.query.get("start-after"), call.query.get("continuation-token")
    page = await _page(call, last_of(token) if token else start or "")
    nodes = [*_common(call, encode), ("IsTruncated", page.truncated)]
    nodes += [("KeyCount", len(page.objects) + len(page.prefixes)), ("ContinuationToken", token)]
    nodes.append(("StartAfter", None if start is None else encode(start)))
    if page.truncated:
        nodes.append(("NextContinuationToken", token_of(page.last)))
    owner = call.query.get("fetch-owner") == "true"
    nodes += [("Contents", _content(found, encode, owner=owner)) for found in page.objects]
    return responses.xml("ListBucketResult", [*nodes, *_prefixes(page, encode)])


async def list_object_versions(call: Call) -> web.Response:
    """ListObjectVersions: without versioning, each object has one version, `null`."""
    encode = encoder(call)
    marker, version = call.query.get("key-marker", ""), call.query.get("version-id-marker", "")
    if version and not marker:
        raise S3Error("InvalidArgument", "A version-id marker cannot be specified without a key marker.")
    page = await _page(call, marker)
    nodes = [*_common(call, encode), ("KeyMarker", encode(marker)), ("VersionIdMarker", version)]
    nodes.append(("IsTruncated", page.truncated))
    if page.truncated:
        nodes += [("NextKeyMarker", encode(page.last)), ("NextVersionIdMarker", "null")]
    for found in page.objects:
        mark: list[Node] = [("VersionId", "null"), ("IsLatest", True)]
        nodes.append(("Version", [*_content(found, encode, owner=True), *mark]))
    return responses.xml("ListVersionsResult", [*nodes, *_prefixes(page, encode)])


async def _page(call: Call, after: str) -> Page:
    return await call.run(
        list_page,
        call.objects,
        call.bucket,
        prefix=call.query.get("prefix", ""),
        delimiter=call.query.get("delimiter", ""),
        after=after,
        limit=page_size(call.query, "max-keys", _MAX_KEYS),
    )


def encoder(call: Call) -> Callable[[str], str]:
    """The function that encodes keys in a listing; InvalidArgument for an unknown `encoding-type`."""
    kind = call.query.get("encoding-type", "")
    if kind not in ("", "url"):
        raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request")
    return responses.url_encoded if kind else str


def _common(call: Call, encode: Callable[[str], str]) -> list[Node]:
    query = call.query
    return [
        ("Name", call.bucket),
        ("Prefix", encode(query.get("prefix", ""))),
        ("Delimiter", encode(query["delimiter"]) if query.get("delimiter") else None),
        ("MaxKeys", page_size(query, "max-keys", _MAX_KEYS)),
        ("EncodingType", query.get("encoding-type")),
    ]


def _prefixes(page: Page, encode: Callable[[str], str]) -> list[Node]:
    return [("CommonPrefixes", [("Prefix", encode(prefix))]) for prefix in page.prefixes]


def _content(found: StoredObject, encode: Callable[[str], str], *, owner: bool) -> list[Node]:
    checksum = found.info.checksum
    return [
        ("Key", encode(found.key)),
        ("LastModified", responses.timestamp(found.modified_second)),
        ("ETag", responses.quoted(found.info.etag)),
        ("ChecksumAlgorithm", checksum.algorithm if checksum else None),
        ("ChecksumType", checksum.kind if checksum else None),
        ("Size", found.size),
        ("StorageClass", found.info.headers.get("x-amz-storage-class", "STANDARD")),
        ("Owner", responses.OWNER if owner else None),
    ]
