"""S3's errors: the service's code, its HTTP status, and a message for the caller."""

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
"""HTTP statuses from the service's list of error responses; all other codes have 400."""


class S3Error(Exception):
    """The error response to a request. `details` become further elements of the error document."""

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
    """The error for a feature of S3 that this server does not support; it names the feature."""
    return S3Error("NotImplemented", f"{what} is not supported by this local S3; nothing was changed.")
