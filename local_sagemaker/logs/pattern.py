"""Filter patterns with terms: all plain terms, at least one `?term` and no `-term` must occur."""

from __future__ import annotations

import re

from local_sagemaker.errors import ServiceError

_TERM = re.compile(r'([?-]?)(?:"([^"]*)"|(\S+))')


def matches(pattern: str, message: str) -> bool:
    """Whether a message matches; ServiceError for JSON, column and regular expression patterns."""
    pattern = pattern.strip()
    if pattern[:1] in ("{", "[", "%"):
        error = ServiceError("filterPattern: JSON, column and regular expression patterns are not supported here.")
        error.code = "InvalidParameterException"
        raise error
    any_of: list[bool] = []
    for sign, quoted, plain in _TERM.findall(pattern):
        found = (quoted or plain) in message
        if sign == "?":
            any_of.append(found)
        elif found == (sign == "-"):
            return False
    return not any_of or any(any_of)
