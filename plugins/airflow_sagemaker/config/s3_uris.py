"""S3 URIs: validation and comparison."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address

MAX_URI = 1024  # CreateTrainingJob, S3Uri; also the longest value of a pipeline parameter
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def bucket_problem(bucket: str) -> str:
    """Return the bucket naming rule that a name violates, or an empty string.

    The rules are S3's for general purpose buckets (Amazon S3 User Guide, "Bucket naming rules").
    """
    rules = (
        (3 <= len(bucket) <= 63, "must have 3 to 63 characters"),
        (
            _BUCKET.fullmatch(bucket),
            "must consist of lowercase letters, digits, dots and hyphens, and start and end with a letter or digit",
        ),
        (".." not in bucket, "must not contain two consecutive dots"),
        (not _is_ip_address(bucket), "must not look like an IP address"),
        (not bucket.startswith(_RESERVED_STARTS), f"must not start with {' or '.join(_RESERVED_STARTS)}"),
        (not bucket.endswith(_RESERVED_ENDS), f"must not end with {' or '.join(_RESERVED_ENDS)}"),
    )
    return next((f"a bucket name {rule}" for holds, rule in rules if not holds), "")


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an S3 URI; the key has no leading or trailing slash."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key.strip("/")


def uri_problem(uri: str, *, levels: int = 2) -> str:
    """Return the rule that an S3 URI violates, or an empty string; `levels` counts the bucket and the folders."""
    if not uri.startswith("s3://"):
        return "must be an S3 URI such as s3://my-bucket/folder"
    bucket, key = split_uri(uri)
    parts = [part for part in key.split("/") if part]
    of_bucket = bucket_problem(bucket)
    rules = (
        (len(uri) <= MAX_URI, f"must have at most {MAX_URI} characters"),
        (not _CONTROL.search(uri), "must not contain control characters"),
        (not of_bucket, f"bucket {bucket!r}: {of_bucket}"),
        (len(parts) + 1 >= levels, "must name a folder inside the bucket, such as s3://my-bucket/folder"),
        ("." not in parts and ".." not in parts, "must not contain . or .. as a folder"),
    )
    return next((rule for holds, rule in rules if not holds), "")


def normalised_uri(uri: str) -> str:
    """Return the URI without trailing slash and empty folders, so that equal locations have equal URIs."""
    bucket, key = split_uri(uri)
    return "/".join(["s3:/", bucket, *[part for part in key.split("/") if part]])


def is_inside(inner: str, outer: str) -> bool:
    """Whether a folder is inside another one, or the same."""
    return (normalised_uri(inner) + "/").startswith(normalised_uri(outer) + "/")


def _is_ip_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True
