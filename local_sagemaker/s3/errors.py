"""The one error of this S3: a code of the service, its status, and a sentence for the caller."""

from __future__ import annotations

from collections.abc import Mapping

_STATUS = {
    "AccessDenied": 403,
    "BadDigest": 400,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "InsufficientStorage": 507,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidObjectState": 403,
    "InvalidRange": 416,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchTagSet": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "NotModified": 304,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "SignatureDoesNotMatch": 403,
}
"""Codes whose status is not 400, as in the service's list of error responses."""


class S3Error(Exception):
    """What a request is refused with: `code` and `message` as the service has them, `details` as further elements."""

    def __init__(self, code: str, message: str, details: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = dict(details or {})

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return _STATUS.get(self.code, 400)


def not_implemented(what: str) -> S3Error:
    """The refusal of something that S3 has and this server has not, by its name."""
    return S3Error("NotImplemented", f"{what} is not supported by this local S3; nothing was changed.")
