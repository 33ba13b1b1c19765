"""The headers of a write that are stored with the object."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from local_sagemaker.s3.errors import S3Error, not_implemented
from local_sagemaker.s3.storage.objects import DEFAULT_TYPE

_STANDARD = ("content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires")
_META = "x-amz-meta-"
_MAX_METADATA_BYTES = 2048
_MAX_TAGS = 10
MAX_BUCKET_TAGS = 50
_ACLS = ("private", "bucket-owner-full-control")
_ENCRYPTION = "x-amz-server-side-encryption"
_STORAGE_CLASSES = ("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR")
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")


def standard_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Content-Type and similar headers, which a GET returns unchanged."""
    found = {name: headers[name] for name in _STANDARD if name in headers}
    codings = [text.strip() for text in found.pop("content-encoding", "").split(",")]
    coding = ", ".join(text for text in codings if text and text != "aws-chunked")
    return {"content-type": DEFAULT_TYPE, **found, **({"content-encoding": coding} if coding else {})}


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The user's metadata with lower-case names; MetadataTooLarge beyond the service's limit."""
    found = {name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in found.items())
    if size > _MAX_METADATA_BYTES:
        details = {"Size": str(size), "MaxSizeAllowed": str(_MAX_METADATA_BYTES)}
        raise S3Error("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size", details)
    return found


def placement(headers: Mapping[str, str]) -> dict[str, str]:
    """Storage class and encryption, which are stored and returned but have no effect; ACLs are checked."""
    check_acl(headers)
    found = {name: value for name, value in headers.items() if name.startswith(_ENCRYPTION) and "context" not in name}
    if found.get(_ENCRYPTION, "AES256") not in ("AES256", "aws:kms", "aws:kms:dsse"):
        raise S3Error("InvalidArgument", "The encryption method specified is not supported")
    storage_class = headers.get("x-amz-storage-class", "STANDARD")
    if storage_class in _ARCHIVES:
        raise not_implemented(f"The storage class {storage_class}")
    if storage_class not in _STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass", "The storage class you specified is not valid")
    return found if storage_class == "STANDARD" else {**found, "x-amz-storage-class": storage_class}


def check_acl(headers: Mapping[str, str]) -> None:
    """Raise AccessControlListNotSupported for any ACL except the owner's, the default of buckets since April 2023."""
    if headers.get("x-amz-acl", "private") not in _ACLS:
        raise S3Error("AccessControlListNotSupported", "The bucket does not allow ACLs")


def tags(headers: Mapping[str, str]) -> dict[str, str]:
    """The tags of x-amz-tagging."""
    pairs = parse_qsl(headers.get("x-amz-tagging", ""), keep_blank_values=True)
    return checked_tags(pairs, _MAX_TAGS)


def checked_tags(pairs: list[tuple[str, str]], limit: int = _MAX_TAGS) -> dict[str, str]:
    """The tags, checked against the service's limits; InvalidTag, or BadRequest for too many."""
    if len(pairs) > limit:
        kind = "Object" if limit == _MAX_TAGS else "Bucket"
        raise S3Error("BadRequest", f"{kind} tags cannot be greater than {limit}")
    found: dict[str, str] = {}
    for name, value in pairs:
        if not 1 <= len(name) <= 128 or name.lower().startswith("aws:"):
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", {"TagKey": name[:128]})
        if len(value) > 256:
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid", {"TagKey": name})
        if name in found:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key", {"TagKey": name})
        found[name] = value
    return found
