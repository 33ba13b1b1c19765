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
    """An error that the client gets as `{"__type": code, "message": ...}`."""

    code = "InternalFailure"
    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ValidationException(ServiceError):
    """The request is not valid."""

    code = "ValidationException"


class ResourceNotFound(ServiceError):
    """A resource that the request names does not exist."""

    code = "ResourceNotFound"


class ResourceInUse(ServiceError):
    """The resource already exists."""

    code = "ResourceInUse"


class ConflictException(ServiceError):
    """The request conflicts with the resource's state."""

    code = "ConflictException"


class UnknownOperation(ServiceError):
    """This server does not support the action, or it does not exist."""

    code = "UnknownOperationException"


class StartError(Exception):
    """The server cannot start. The message is one line and says what to do."""
