"""Limits and tokens of the list operations."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from local_sagemaker.s3.errors import S3Error


def page_size(query: Mapping[str, str], name: str, largest: int) -> int:
    """A limit as the client asks for it, `largest` at most; InvalidArgument."""
    text = query.get(name, "")
    if not text:
        return largest
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 2**31):
        details = {"ArgumentName": name, "ArgumentValue": text[:100]}
        raise S3Error("InvalidArgument", f"Argument {name} must be an integer between 0 and 2147483647", details)
    return min(int(text), largest)


def token_of(last: str) -> str:
    """A continuation token that says where a page ended."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def last_of(token: str) -> str:
    """What `token_of` was given; InvalidArgument."""
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from None
