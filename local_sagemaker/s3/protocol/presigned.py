"""Headers in the query of a presigned address: SDKs move them there, and its user need not send them.

Sources: aws-sdk-js-v3's S3RequestPresigner moves x-amz-* headers, botocore's HmacV1QueryAuth also Content-Type and
Content-MD5. The service ignores checksums there (localstack/localstack #12169, aws/aws-sdk-go-v2 #2610): the
JavaScript SDK's is that of an empty body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from local_sagemaker.s3.errors import S3Error

_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_V4_OWN = frozenset(
    f"x-amz-{name}"
    for name in (
        "algorithm", "credential", "date", "expires", "signedheaders", "signature", "security-token", "content-sha256",
    )
)  # fmt: skip
"""The parameters of the signature itself."""
_V2_STANDARD = frozenset({"content-type", "content-md5"})
_IGNORED = "x-amz-checksum-"


def headers_in_query(query: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The headers in a presigned query by lower-case name; InvalidArgument if one cannot be a header."""
    names = {name for name, _ in query}
    if "X-Amz-Algorithm" in names:
        moved = {name.lower(): value for name, value in reversed(query) if name.lower() not in _V4_OWN}
        found = {name: value for name, value in moved.items() if name.startswith("x-amz-")}
    elif "AWSAccessKeyId" in names:
        moved = {name.lower(): value for name, value in reversed(query)}
        found = {name: value for name, value in moved.items() if name.startswith("x-amz-") or name in _V2_STANDARD}
    else:
        return {}
    for name, value in found.items():
        if not _NAME.fullmatch(name) or _CONTROL.search(value):
            raise S3Error("InvalidArgument", f"The query parameter '{name[:100]}' is not a valid header")
    return found


def effective(moved: Mapping[str, str], sent: Mapping[str, str]) -> dict[str, str]:
    """The request's headers: those that it sent, and those of its query that have an effect."""
    return {**{name: value for name, value in moved.items() if not name.startswith(_IGNORED)}, **sent}
