"""Multipart uploads."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from aiohttp import web

from local_sagemaker.s3.actions.lists import encoder
from local_sagemaker.s3.errors import S3Error, not_implemented
from local_sagemaker.s3.protocol import conditions, object_headers, responses, xml_text
from local_sagemaker.s3.protocol.call import Call
from local_sagemaker.s3.protocol.intake import Intake, algorithm_named
from local_sagemaker.s3.protocol.paging import page_size
from local_sagemaker.s3.protocol.xml_text import Node
from local_sagemaker.s3.storage import checksums
from local_sagemaker.s3.storage.catalog import Checksum, Info, Part, Upload
from local_sagemaker.s3.storage.uploads import MAX_PARTS, WantedPart

_MAX_PART_BYTES = 5 * 2**30
_MAX_LISTED = 1000


async def create_multipart_upload(call: Call) -> web.Response:
    """CreateMultipartUpload."""
    headers = {**object_headers.standard_headers(call.headers), **object_headers.placement(call.headers)}
    metadata, tags = object_headers.metadata(call.headers), object_headers.tags(call.headers)
    checksum = _wanted_checksum(call.headers)
    info = Info("", headers, metadata, tags, checksum)
    await call.run(call.objects.check_writable, call.bucket, call.key)
    upload = await call.run(call.uploads.create, call.bucket, call.key, info)
    nodes: list[Node] = [("Bucket", call.bucket), ("Key", call.key), ("UploadId", upload.id)]
    said = {name: value for name, value in headers.items() if "encryption" in name}
    if checksum:
        said |= {"x-amz-checksum-algorithm": checksum.algorithm, "x-amz-checksum-type": checksum.kind}
    return responses.xml("InitiateMultipartUploadResult", nodes, headers=said)


def _wanted_checksum(headers: Mapping[str, str]) -> Checksum | None:
    named, kind = headers.get("x-amz-checksum-algorithm"), headers.get("x-amz-checksum-type")
    if named is None:
        if kind is not None:
            text = "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            raise S3Error("InvalidRequest", text)
        return None
    algorithm = algorithm_named(named)
    chosen = checksums.type_of_parts(algorithm, kind)
    if chosen is None:
        text = f"The {str(kind)[:30]} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        raise S3Error("InvalidRequest", text)
    return Checksum(algorithm, "", chosen)


async def upload_part(call: Call) -> web.Response:
    """UploadPart."""
    number = part_number(call.query)
    call.check_size(_MAX_PART_BYTES)
    upload = await call.run(call.uploads.find, call.bucket, call.key, call.query["uploadId"])
    wanted = upload.info.checksum.algorithm if upload.info.checksum else None
    with call.uploads.stage_part(upload, number, call.size) as staged:
        intake = Intake(call.headers, call.caller, staged, algorithm=wanted, max_bytes=_MAX_PART_BYTES)
        last = await call.receive(intake.feed)

        def keep() -> Part:
            intake.feed(last)
            received = intake.finish()
            return call.uploads.add_part(upload, number, staged, received.md5, received.checksum)

        part = await call.run(keep)
    headers = {"ETag": responses.quoted(part.etag)}
    if intake.algorithm and part.checksum:
        headers[f"x-amz-checksum-{intake.algorithm.lower()}"] = part.checksum
    return responses.empty(headers=headers)


def part_number(query: Mapping[str, str]) -> int:
    """The part number; InvalidArgument if it is not valid."""
    text = query["partNumber"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= MAX_PARTS):
        details = {"ArgumentName": "partNumber", "ArgumentValue": text[:100]}
        raise S3Error(
            "InvalidArgument", f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive", details
        )
    return int(text)


async def complete_multipart_upload(call: Call) -> web.Response:
    """CompleteMultipartUpload."""
    precondition = conditions.for_write(call.headers, call.key)
    root = xml_text.parse(await call.document(checksum_is_its_own=False), "CompleteMultipartUpload")
    upload = await call.run(call.uploads.known, call.bucket, call.key, call.query["uploadId"])
    wanted = [_wanted_part(node, upload) for node in root.findall("Part")]
    if not 1 <= len(wanted) <= MAX_PARTS:
        raise xml_text.malformed()

    def check(size: int, checksum: Checksum | None) -> None:
        expected = call.headers.get("x-amz-mp-object-size", str(size))
        if expected != str(size):
            raise S3Error("InvalidRequest", f"The parts have {size} bytes, x-amz-mp-object-size says {expected[:30]}")
        kind = call.headers.get("x-amz-checksum-type")
        if kind is not None and (checksum is None or checksum.kind != kind):
            raise S3Error("InvalidRequest", "The upload was created with another checksum type")
        if checksum is not None:
            claimed = call.headers.get(f"x-amz-checksum-{checksum.algorithm.lower()}")
            # the number of parts at the end of a composite checksum is optional
            if claimed not in (None, checksum.value, checksum.value.partition("-")[0]):
                raise S3Error(
                    "BadDigest", f"The {checksum.algorithm} you specified did not match the calculated checksum."
                )

    stored = await call.run(call.uploads.complete, upload, wanted, precondition, check)
    location = f"http://{call.headers.get('host', '')}/{call.bucket}/{responses.url_encoded(call.key)}"
    nodes: list[Node] = [("Location", location), ("Bucket", call.bucket), ("Key", call.key)]
    nodes += [("ETag", responses.quoted(stored.info.etag)), *responses.checksum_nodes(stored.info.checksum)]
    return responses.xml("CompleteMultipartUploadResult", nodes)


def _wanted_part(node: Element, upload: Upload) -> WantedPart:
    number = xml_text.text_of(node, "PartNumber").strip()
    if not (number.isascii() and number.isdecimal() and len(number) <= 9):
        raise xml_text.malformed()
    etag = xml_text.text_of(node, "ETag").strip().strip('"')
    algorithm = upload.info.checksum.algorithm if upload.info.checksum else None
    return WantedPart(int(number), etag, node.findtext(f"Checksum{algorithm}") if algorithm else None)


async def abort_multipart_upload(call: Call) -> web.Response:
    """AbortMultipartUpload."""
    await call.run(call.uploads.abort, call.bucket, call.key, call.query["uploadId"])
    return responses.empty(204)


async def list_parts(call: Call) -> web.Response:
    """ListParts."""
    limit = page_size(call.query, "max-parts", _MAX_LISTED)
    after = page_size(call.query, "part-number-marker", MAX_PARTS) if call.query.get("part-number-marker") else 0
    upload = await call.run(call.uploads.find, call.bucket, call.key, call.query["uploadId"])
    parts = [part for part in await call.run(call.uploads.parts, upload) if part.number > after]
    page = parts[:limit]
    checksum = upload.info.checksum
    nodes: list[Node] = [("Bucket", call.bucket), ("Key", call.key), ("UploadId", upload.id)]
    nodes += [("Initiator", responses.OWNER), ("Owner", responses.OWNER), ("StorageClass", _storage_class(upload))]
    nodes += [("PartNumberMarker", after), ("NextPartNumberMarker", page[-1].number if page else 0)]
    nodes += [("MaxParts", limit), ("IsTruncated", len(parts) > len(page))]
    nodes += [("ChecksumAlgorithm", checksum.algorithm), ("ChecksumType", checksum.kind)] if checksum else []
    for part in page:
        content: list[Node] = [("PartNumber", part.number), ("LastModified", responses.timestamp(part.modified))]
        content += [("ETag", responses.quoted(part.etag)), ("Size", part.size)]
        content += [(f"Checksum{checksum.algorithm}", part.checksum)] if checksum else []
        nodes.append(("Part", content))
    return responses.xml("ListPartsResult", nodes)


async def list_multipart_uploads(call: Call) -> web.Response:
    """ListMultipartUploads."""
    query, encode = call.query, encoder(call)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    if delimiter:
        raise not_implemented("The query parameter 'delimiter' of ListMultipartUploads")
    key_marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    limit = page_size(query, "max-uploads", _MAX_LISTED)
    found = [upload for upload in await call.run(call.uploads.unfinished, call.bucket) if upload.key.startswith(prefix)]
    if key_marker:
        same = [upload.id for upload in found if upload.key == key_marker]
        passed = set(same[: same.index(id_marker) + 1] if id_marker in same else same)
        found = [u for u in found if u.key.encode() >= key_marker.encode() and u.id not in passed]
    page = found[:limit]
    nodes: list[Node] = [("Bucket", call.bucket), ("KeyMarker", encode(key_marker)), ("UploadIdMarker", id_marker)]
    nodes += [("Prefix", encode(prefix)), ("MaxUploads", limit), ("EncodingType", query.get("encoding-type"))]
    nodes.append(("IsTruncated", len(found) > len(page)))
    if page and len(found) > len(page):
        nodes += [("NextKeyMarker", encode(page[-1].key)), ("NextUploadIdMarker", page[-1].id)]
    for upload in page:
        checksum = upload.info.checksum
        content: list[Node] = [("Key", encode(upload.key)), ("UploadId", upload.id)]
        content += [("Initiator", responses.OWNER), ("Owner", responses.OWNER)]
        content += [("StorageClass", _storage_class(upload)), ("Initiated", responses.timestamp(upload.created))]
        content += [("ChecksumAlgorithm", checksum.algorithm), ("ChecksumType", checksum.kind)] if checksum else []
        nodes.append(("Upload", content))
    return responses.xml("ListMultipartUploadsResult", nodes)


def _storage_class(upload: Upload) -> str:
    return upload.info.headers.get("x-amz-storage-class", "STANDARD")
