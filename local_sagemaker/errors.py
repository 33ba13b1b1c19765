"""The errors a caller gets, under the service's own codes.

ServiceError            what the protocol layer turns into an answer
├── ValidationException the request is wrong in itself
├── ResourceNotFound    what it names is not there
├── ResourceInUse       what it wants to create is there already
├── ConflictException   it fits no longer to the resource's state
└── UnknownOperation    an action that this server does not have

StartError              the server cannot start: one line for the user
"""

from __future__ import annotations


class ServiceError(Exception):
    """An error that is answered to the caller as `{"__type": code, "message": ...}`."""

    code = "InternalFailure"
    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ValidationException(ServiceError):
    """The request is wrong in itself."""

    code = "ValidationException"


class ResourceNotFound(ServiceError):
    """What the request names is not there."""

    code = "ResourceNotFound"


class ResourceInUse(ServiceError):
    """What the request wants to create is there already."""

    code = "ResourceInUse"


class ConflictException(ServiceError):
    """The request does not fit to the resource's state."""

    code = "ConflictException"


class UnknownOperation(ServiceError):
    """The action exists in the service, or nowhere, but not in this server."""

    code = "UnknownOperationException"


class StartError(Exception):
    """The server cannot start; the message is one line that says what to do."""
