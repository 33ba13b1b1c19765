"""Types that all layers share: JSON, a logger, a boto3 client. It imports nothing from this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
"""JSON that we write."""

JsonObject: TypeAlias = dict[str, Any]
"""JSON that we read: its keys are known, its values are not until the reader has checked them."""


JsonMapping: TypeAlias = Mapping[str, Any]
"""The same where it is only read."""


class Log(Protocol):
    """A logger: one of `logging`, that of an Airflow task or trigger, or the command line's output."""

    def debug(self, text: str, /, *arguments: object) -> object:
        """Log details for developers."""
        ...

    def info(self, text: str, /, *arguments: object) -> object:
        """Log information."""
        ...

    def warning(self, text: str, /, *arguments: object) -> object:
        """Log a warning."""
        ...

    def error(self, text: str, /, *arguments: object) -> object:
        """Log an error."""
        ...

    def exception(self, text: str, /, *arguments: object) -> object:
        """Log an error with the exception that is being handled."""
        ...


class _Shape(Protocol):
    members: Mapping[str, object]


class _OperationModel(Protocol):
    output_shape: _Shape | None


class _ServiceModel(Protocol):
    def operation_model(self, operation_name: str) -> _OperationModel: ...


class _ClientMeta(Protocol):
    endpoint_url: str
    region_name: str
    service_model: _ServiceModel
    method_to_api_mapping: Mapping[str, str]


class BotoClient(Protocol):
    """A boto3 client: its model, and a method for each operation, which botocore adds at run time."""

    meta: _ClientMeta

    def __getattr__(self, operation: str) -> Callable[..., Any]: ...


class BotoSession(Protocol):
    """A boto3 session."""

    def client(self, service_name: str, /, **options: object) -> BotoClient:
        """Return a new client."""
        ...
