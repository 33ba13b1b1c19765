"""CopyObject and UploadPartCopy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from aiohttp import web

from local_sagemaker.s3.actions.objects import MAX_PUT_BYTES, in_pieces
from local_sagemaker.s3.actions.uploads import part_number
from local_sagemaker.s3.actions.versions import check_version
from local_sagemaker.s3.errors import S3Error, not_implemented
from local_sagemaker.s3.protocol import conditions, object_headers, responses
from local_sagemaker.s3.protocol.call import Call
from local_sagemaker.s3.protocol.intake import algorithm_named
from local_sagemaker.s3.storage import checksums
from local_sagemaker.s3.storage.catalog import Checksum, Info
from local_sagemaker.s3.storage.objects import StoredObject
from local_sagemaker.s3.storage.staging import StagedFile

_CONDITIONS = "x-amz-copy-source-"
_DIRECTIVES = ("COPY", "REPLACE")
_PLACEMENT = ("x-amz-server-side-encryption", "x-amz-storage-class")
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})")


async def copy_object(call: Call) -> web.Response:
    """CopyObject."""
    source = _source(call.headers)
    directives = [call.headers.get(f"x-amz-{name}-directive", "COPY").upper() for name in ("metadata", "tagging")]
    if any(directive not in _DIRECTIVES for directive in directives):
        raise S3Error("InvalidArgument", "Unknown metadata or tagging directive.")
    placement = object_headers.placement(call.headers)
    if source == (call.bucket, call.key) and directives[0] == "COPY" and not placement:
        text = "This copy request is illegal because it is trying to copy an object to itself without changing the"
        text += " object's metadata, storage class, website redirect location or encryption attributes."
        raise S3Error("InvalidRequest", text)
    wanted = call.headers.get("x-amz-checksum-algorithm")
    algorithm = algorithm_named(wanted) if wanted else None
    precondition = conditions.for_write(call.headers, call.key)

    def copy() -> StoredObject:
        call.objects.check_writable(call.bucket, call.key, precondition)
        with call.objects.open(*source) as (descriptor, found), call.objects.stage() as staged:
            conditions.check_read(found, call.headers, prefix=_CONDITIONS)
            _check_size(found)
            info = _new_info(call.headers, found.info, directives, placement)
            info = _copy_content(descriptor, found, staged, info, algorithm)
            return call.objects.publish(staged, call.bucket, call.key, info, precondition)

    stored = await call.run(copy)
    nodes = [
        ("LastModified", responses.timestamp(stored.modified_second)),
        ("ETag", responses.quoted(stored.info.etag)),
    ]
    checksum = responses.checksum_nodes(stored.info.checksum)
    encryption = {name: value for name, value in stored.info.headers.items() if "encryption" in name}
    return responses.xml("CopyObjectResult", [*nodes, *checksum], headers=encryption)


def _new_info(headers: Mapping[str, str], source: Info, directives: list[str], placement: Mapping[str, str]) -> Info:
    info = replace(source, parts=())
    kept = {name: value for name, value in source.headers.items() if not name.startswith(_PLACEMENT)}
    if directives[0] == "REPLACE":
        kept = object_headers.standard_headers(headers)
        info = replace(info, metadata=object_headers.metadata(headers))
    if directives[1] == "REPLACE":
        info = replace(info, tags=object_headers.tags(headers))
    return replace(info, headers={**kept, **placement})


def _copy_content(descriptor: int, found: StoredObject, staged: StagedFile, info: Info, algorithm: str | None) -> Info:
    """Copy in the kernel if the ETag and checksum can be reused. The copy is always a single-part object."""
    checksum = info.checksum
    algorithm = algorithm or (checksum.algorithm if checksum else None)
    same = (
        checksum is None if algorithm is None else checksum == Checksum(algorithm, checksum.value if checksum else "")
    )
    if same and "-" not in info.etag:
        staged.append_file(descriptor, 0, found.size)
        return info
    digests = {name: checksums.digest(name) for name in {"MD5", algorithm or "MD5"}}
    for piece in in_pieces(descriptor, 0, found.size):
        staged.write(piece)
        for digest in digests.values():
            digest.update(piece)
    made = Checksum(algorithm, checksums.encoded(digests[algorithm].digest())) if algorithm else None
    return replace(info, etag=digests["MD5"].digest().hex(), checksum=made)


async def upload_part_copy(call: Call) -> web.Response:
    """UploadPartCopy."""
    source = _source(call.headers)
    number = part_number(call.query)
    range_text = call.headers.get("x-amz-copy-source-range")

    def copy() -> tuple[str, float, Checksum | None]:
        upload = call.uploads.find(call.bucket, call.key, call.query["uploadId"])
        wanted = upload.info.checksum.algorithm if upload.info.checksum else None
        with call.objects.open(*source) as (descriptor, found), call.objects.stage() as staged:
            conditions.check_read(found, call.headers, prefix=_CONDITIONS)
            first, count = _source_range(range_text, found)
            digests = {name: checksums.digest(name) for name in {"MD5", wanted or "MD5"}}
            for piece in in_pieces(descriptor, first, count):
                staged.write(piece)
                for digest in digests.values():
                    digest.update(piece)
            checksum = checksums.encoded(digests[wanted].digest()) if wanted else None
            etag = digests["MD5"].digest().hex()
            part = call.uploads.add_part(upload, number, staged, etag, checksum)
            return part.etag, part.modified, Checksum(wanted, checksum) if wanted and checksum else None

    etag, modified, checksum = await call.run(copy)
    nodes = [("LastModified", responses.timestamp(modified)), ("ETag", responses.quoted(etag))]
    nodes += [(f"Checksum{checksum.algorithm}", checksum.value)] if checksum else []
    return responses.xml("CopyPartResult", nodes)


def _source(headers: Mapping[str, str]) -> tuple[str, str]:
    text, _, version = headers["x-amz-copy-source"].partition("?versionId=")
    if version:
        check_version({"versionId": version})
    if text.startswith("arn:"):
        raise not_implemented("A copy from an access point")
    try:
        bucket, _, key = unquote(text, errors="strict").removeprefix("/").partition("/")
    except UnicodeDecodeError:
        bucket = key = ""
    if not bucket or not key:
        text = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        raise S3Error("InvalidArgument", text, {"ArgumentName": "x-amz-copy-source"})
    return bucket, key


def _check_size(found: StoredObject) -> None:
    if found.size > MAX_PUT_BYTES:
        text = "The specified copy source is larger than the maximum allowable size for a copy source"
        raise S3Error("InvalidRequest", f"{text}: {MAX_PUT_BYTES}")


def _source_range(text: str | None, found: StoredObject) -> tuple[int, int]:
    if text is None:
        _check_size(found)
        return 0, found.size
    match = _RANGE.fullmatch(text)
    details = {"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": text[:100]}
    if match is None or int(match[2]) < int(match[1]):
        raise S3Error(
            "InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last", details
        )
    if int(match[2]) >= found.size:
        text = f"Range specified is not valid for source object of size: {found.size}"
        raise S3Error("InvalidArgument", text, details)
    return int(match[1]), int(match[2]) - int(match[1]) + 1
