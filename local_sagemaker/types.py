"""Types that several packages share: JSON, SQL values and boto3 clients. It imports nothing of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
"""A parsed JSON object. Readers check its values, or botocore's model has checked them."""

JsonMapping: TypeAlias = Mapping[str, Any]
"""A JSON object that is only read."""

Request: TypeAlias = JsonObject
"""An action's request, checked against botocore's model."""

Response: TypeAlias = JsonObject
"""An action's response, checked against botocore's model before it is sent."""

JsonValue: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
"""Any JSON."""

SqlValue: TypeAlias = str | int | float | bytes | None
"""A value of a column, or of a question mark in a statement."""


class _ClientExceptions(Protocol):
    def __getattr__(self, name: str, /) -> type[Exception]: ...


class BotoClient(Protocol):
    """A boto3 client: botocore adds a method for each operation at run time."""

    exceptions: _ClientExceptions

    def __getattr__(self, operation: str, /) -> Callable[..., Any]: ...
