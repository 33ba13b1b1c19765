"""Operations of single objects, and DeleteObjects."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from xml.etree.ElementTree import Element

from aiohttp import web

from local_sagemaker.s3.actions.versions import NULL_VERSION, check_version
from local_sagemaker.s3.errors import S3Error, not_implemented
from local_sagemaker.s3.protocol import conditions, object_headers, responses, xml_text
from local_sagemaker.s3.protocol.call import Call
from local_sagemaker.s3.protocol.intake import Intake
from local_sagemaker.s3.protocol.paging import page_size
from local_sagemaker.s3.protocol.xml_text import Node
from local_sagemaker.s3.storage.catalog import Checksum, Info
from local_sagemaker.s3.storage.objects import StoredObject, no_condition

MAX_PUT_BYTES = 5 * 2**30
"""The limit for a PUT, a part, and the source of a copy."""
_SENT_WITH_THE_HEAD = 2**16
"""Up to this size in bytes, content is sent in one write with the headers, instead of with sendfile."""
_MAX_DELETES = 1000
_MAX_LISTED_PARTS = 1000


async def put_object(call: Call) -> web.Response:
    """PutObject."""
    call.check_size(MAX_PUT_BYTES)
    headers = {**object_headers.standard_headers(call.headers), **object_headers.placement(call.headers)}
    metadata, tags = object_headers.metadata(call.headers), object_headers.tags(call.headers)
    precondition = conditions.for_write(call.headers, call.key)
    if precondition is no_condition:  # only checks that the bucket's folder exists: faster than asking a worker
        call.objects.check_writable(call.bucket, call.key)
    else:
        await call.run(call.objects.check_writable, call.bucket, call.key, precondition)
    with call.objects.stage() as staged:
        intake = Intake(call.headers, call.caller, staged, max_bytes=MAX_PUT_BYTES)
        last = await call.receive(intake.feed)

        def publish() -> StoredObject:
            intake.feed(last)
            received = intake.finish()
            checksum = Checksum(intake.algorithm, received.checksum) if intake.algorithm and received.checksum else None
            info = Info(received.md5, headers, metadata, tags, checksum)
            return call.objects.publish(staged, call.bucket, call.key, info, precondition)

        stored = await call.run(publish)
    return responses.empty(headers=responses.kept_headers(stored))


async def get_object(call: Call) -> web.StreamResponse:
    """GetObject."""
    return await _read(call, with_content=True)


async def head_object(call: Call) -> web.StreamResponse:
    """HeadObject."""
    return await _read(call, with_content=False)


async def _read(call: Call, *, with_content: bool) -> web.StreamResponse:
    check_version(call.query)
    # opening a file and reading a row is faster than asking a worker, and neither waits for a writer
    descriptor, found = call.objects.open_descriptor(call.bucket, call.key)
    try:
        _check_read(call, found)
        headers = {**responses.object_headers(found), **_overrides(call.query)}
        part = _part_range(call.query, found)
        if part is not None and found.info.parts:
            headers["x-amz-mp-parts-count"] = str(len(found.info.parts))
        ranged = conditions.range_applies(call.headers, found) and "range" in call.headers
        if part is not None and ranged:
            raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
        piece = part or (conditions.byte_range(call.headers["range"], found.size) if ranged else None)
        if piece is not None:
            headers["Content-Range"] = f"bytes {piece[0]}-{max(sum(piece) - 1, 0)}/{found.size}"
        if call.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            headers |= responses.checksum_headers(_checksum_of(found, piece, call.query))
        first, count = piece or (0, found.size)
        status = 206 if piece else 200
        if with_content and count <= _SENT_WITH_THE_HEAD:
            return web.Response(body=_content(descriptor, first, count), status=status, headers=headers)
        if with_content:
            response = responses.FileResponse(descriptor, first, count, status, headers)
            descriptor = -1
            return response
        return responses.empty(status, {**headers, "Content-Length": str(count)})
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _content(descriptor: int, first: int, count: int) -> bytes:
    content = os.pread(descriptor, count, first)
    if len(content) != count:  # another process truncated the file
        raise OSError(errno.EIO, "the file became shorter while it was read")
    return content


def _checksum_of(found: StoredObject, piece: tuple[int, int] | None, query: Mapping[str, str]) -> Checksum | None:
    """The checksum of the object, or of the requested part; other ranges have none."""
    checksum = found.info.checksum
    if checksum is not None and "partNumber" in query and found.info.parts:
        _size, value = found.info.parts[int(query["partNumber"]) - 1]
        return replace(checksum, value=value) if value else None
    return checksum if piece in (None, (0, found.size)) else None


def _check_read(call: Call, found: StoredObject) -> None:
    try:
        conditions.check_read(found, call.headers)
    except S3Error as problem:
        if problem.code == "NotModified":
            kept = responses.object_headers(found)
            problem.details = {name: kept[name] for name in ("ETag", "Last-Modified", "Cache-Control") if name in kept}
        raise


def _overrides(query: Mapping[str, str]) -> dict[str, str]:
    found = {
        name.removeprefix("response-").title(): value for name, value in query.items() if name.startswith("response-")
    }
    for value in found.values():
        if any(character < " " or character == "\x7f" for character in value):
            raise S3Error("InvalidArgument", "A response-* parameter cannot be a header's value")
    return found


def _part_range(query: Mapping[str, str], found: StoredObject) -> tuple[int, int] | None:
    text = query.get("partNumber")
    if text is None:
        return None
    parts = [size for size, _checksum in found.info.parts] or [found.size]
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 10_000):
        raise S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
    if int(text) > len(parts):
        raise S3Error("InvalidRange", "The requested partnumber is not satisfiable", {"PartNumberRequested": text})
    return sum(parts[: int(text) - 1]), parts[int(text) - 1]


async def get_object_attributes(call: Call) -> web.Response:
    """GetObjectAttributes."""
    check_version(call.query)
    wanted = {name.strip() for name in call.headers["x-amz-object-attributes"].split(",")}
    if wanted - {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"} or not wanted:
        raise S3Error("InvalidArgument", "Invalid attribute name specified.")
    limit = page_size({"max-parts": call.headers.get("x-amz-max-parts", "")}, "max-parts", _MAX_LISTED_PARTS)
    after = page_size({"marker": call.headers.get("x-amz-part-number-marker", "0")}, "marker", 10_000)
    found = await call.run(call.objects.find, call.bucket, call.key)
    info = found.info
    nodes: list[Node] = []
    if "ETag" in wanted:
        nodes.append(("ETag", info.etag))
    if "Checksum" in wanted and info.checksum:
        nodes.append(("Checksum", responses.checksum_nodes(info.checksum)))
    if "ObjectParts" in wanted and info.parts:
        nodes.append(("ObjectParts", _parts(info, after, limit)))
    if "StorageClass" in wanted:
        nodes.append(("StorageClass", info.headers.get("x-amz-storage-class", "STANDARD")))
    if "ObjectSize" in wanted:
        nodes.append(("ObjectSize", found.size))
    headers = {"Last-Modified": responses.object_headers(found)["Last-Modified"]}
    return responses.xml("GetObjectAttributesResponse", nodes, headers=headers)


def _parts(info: Info, after: int, limit: int) -> list[Node]:
    nodes: list[Node] = [("PartsCount", len(info.parts))]
    if info.checksum is None:  # as on AWS: for an upload without checksums, only the number of parts
        return nodes
    page = list(enumerate(info.parts, 1))[after : after + limit]
    last = page[-1][0] if page else after
    nodes += [("PartNumberMarker", after), ("NextPartNumberMarker", last), ("MaxParts", limit)]
    nodes.append(("IsTruncated", last < len(info.parts)))
    for number, (size, checksum) in page:
        nodes.append(
            ("Part", [("PartNumber", number), ("Size", size), (f"Checksum{info.checksum.algorithm}", checksum)])
        )
    return nodes


async def delete_object(call: Call) -> web.Response:
    """DeleteObject."""
    check_version(call.query)
    precondition = conditions.for_write(call.headers, call.key) if "if-match" in call.headers else no_condition
    await call.run(call.objects.delete, call.bucket, call.key, precondition)
    version = {"x-amz-version-id": NULL_VERSION} if "versionId" in call.query else {}
    return responses.empty(204, version)


async def delete_objects(call: Call) -> web.Response:
    """DeleteObjects."""
    root = xml_text.parse(await call.document(), "Delete")
    items = root.findall("Object")
    if not 1 <= len(items) <= _MAX_DELETES:
        raise xml_text.malformed()
    quiet = (root.findtext("Quiet") or "").strip().lower() == "true"
    wanted = [(xml_text.text_of(item, "Key"), item) for item in items]
    await call.run(call.objects.bucket_folder, call.bucket)
    results = await call.run(lambda: [_delete_one(call, key, item) for key, item in wanted])
    return responses.xml("DeleteResult", [node for node in results if not (quiet and node[0] == "Deleted")])


def _delete_one(call: Call, key: str, item: Element) -> Node:
    version = item.findtext("VersionId")
    named: list[Node] = [("Key", key), ("VersionId", version)]
    try:
        check_version({"versionId": version} if version else {})
        for name in ("LastModifiedTime", "Size"):
            if item.find(name) is not None:
                raise not_implemented(f"{name} of DeleteObjects")
        etag = item.findtext("ETag")
        precondition = conditions.for_write({"if-match": etag}, key) if etag else no_condition
        call.objects.delete(call.bucket, key, precondition)
    except S3Error as problem:
        return "Error", [*named, ("Code", problem.code), ("Message", problem.message)]
    return "Deleted", named


def in_pieces(descriptor: int, first: int, count: int) -> Iterable[bytes]:
    """Yield a range of an open file, a megabyte at a time."""
    end = first + count
    while first < end and (data := os.pread(descriptor, min(end - first, 2**20), first)):
        yield data
        first += len(data)
