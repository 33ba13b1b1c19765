"""Limits and tokens of the list operations."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from local_sagemaker.s3.errors import S3Error


def page_size(query: Mapping[str, str], name: str, largest: int) -> int:
    """The page size that the client asks for, at most `largest`; InvalidArgument if it is not a valid number."""
    text = query.get(name, "")
    if not text:
        return largest
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 2**31):
        details = {"ArgumentName": name, "ArgumentValue": text[:100]}
        raise S3Error("InvalidArgument", f"Argument {name} must be an integer between 0 and 2147483647", details)
    return min(int(text), largest)


def token_of(last: str) -> str:
    """A continuation token for the key at which a page ended."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def last_of(token: str) -> str:
    """The key that a token was made from; InvalidArgument if it is not a valid token."""
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from None
