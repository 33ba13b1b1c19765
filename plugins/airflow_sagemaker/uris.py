"""S3 URIs: what a valid one is, and how two of them relate."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address

MAX_URI = 1024  # CreateTrainingJob, S3Uri; also the longest value of a pipeline parameter
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def bucket_problem(bucket: str) -> str:
    """Return the bucket naming rule that a name breaks, or an empty string.

    The rules are S3's for general purpose buckets (Amazon S3 User Guide, "Bucket naming rules").
    """
    if not 3 <= len(bucket) <= 63:
        return "a bucket name has 3 to 63 characters"
    if not _BUCKET.fullmatch(bucket):
        return "a bucket name holds lower-case letters, digits, dots and hyphens, and starts and ends with a letter or digit"
    if ".." in bucket:
        return "a bucket name has no two dots in a row"
    if _is_ip_address(bucket):
        return "a bucket name must not look like an IP address"
    if bucket.startswith(_RESERVED_STARTS):
        return f"a bucket name must not start with {' or '.join(_RESERVED_STARTS)}"
    if bucket.endswith(_RESERVED_ENDS):
        return f"a bucket name must not end with {' or '.join(_RESERVED_ENDS)}"
    return ""


def split(uri: str) -> tuple[str, str]:
    """Return bucket and key of an S3 URI; the key has no slash at either end."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key.strip("/")


def uri_problem(uri: str, *, levels: int = 2) -> str:
    """Return the rule that an S3 URI breaks, or an empty string; `levels` counts the bucket and its folders."""
    if not uri.startswith("s3://"):
        return "must be an S3 URI such as s3://my-bucket/folder"
    if len(uri) > MAX_URI:
        return f"must be at most {MAX_URI} characters"
    if _CONTROL.search(uri):
        return "must not hold control characters"
    bucket, key = split(uri)
    problem = bucket_problem(bucket)
    if problem:
        return f"bucket {bucket!r}: {problem}"
    parts = [part for part in key.split("/") if part]
    if len(parts) + 1 < levels:
        return "must name a folder inside the bucket, such as s3://my-bucket/folder"
    if "." in parts or ".." in parts:
        return "must not hold . or .. as a folder"
    return ""


def normalised(uri: str) -> str:
    """Return the URI without a slash at the end and without empty folders: equal places give equal texts."""
    bucket, key = split(uri)
    return "/".join(["s3:/", bucket, *[part for part in key.split("/") if part]])


def is_inside(inner: str, outer: str) -> bool:
    """Whether one folder lies inside another (or is the same)."""
    return (normalised(inner) + "/").startswith(normalised(outer) + "/")


def _is_ip_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True
