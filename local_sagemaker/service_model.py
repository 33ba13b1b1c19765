"""botocore's model of the services: operations, shapes, and the validation of values against shapes.

Requests are validated before an action runs, responses before they are sent. Messages have the service's format ("Value
'x' at 'trainingJobName' failed to satisfy constraint: ..."), in which members start with a lower-case letter.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from typing import Protocol, TypedDict


class _Limits(TypedDict, total=False):
    min: float
    max: float
    pattern: str


class Shape(Protocol):
    """A shape of the model, as botocore represents it; which attributes exist depends on `type_name`."""

    name: str
    type_name: str
    metadata: _Limits
    members: Mapping[str, Shape]
    required_members: Sequence[str]
    member: Shape
    key: Shape
    value: Shape
    enum: Sequence[str]


class _Operation(Protocol):
    input_shape: Shape | None
    output_shape: Shape | None


class ServiceModel(Protocol):
    """botocore's model of a service, as far as it is used here."""

    operation_names: Sequence[str]

    def operation_model(self, operation: str, /) -> _Operation:
        """Return the model of an action."""

    def shape_for(self, name: str, /) -> Shape:
        """Return a shape by its name."""


_ANYTHING = {".*(?:[ \\r\\n\\t].*)*", "[\\S\\s]*", "[\\s\\S]*"}
_MAX_SHOWN = 50
_MAX_VALUE_SHOWN = 200


@functools.cache
def service_model(service: str = "sagemaker") -> ServiceModel:
    """botocore's model of a service (SageMaker's takes 0.4 s the first time)."""
    import botocore.loaders
    import botocore.model

    description = botocore.loaders.create_loader().load_service_model(service, "service-2")
    model: ServiceModel = botocore.model.ServiceModel(description, service)
    return model


@functools.cache
def operation_names(service: str = "sagemaker") -> frozenset[str]:
    """All actions of a service."""
    return frozenset(service_model(service).operation_names)


@functools.cache
def input_shape(operation: str, service: str = "sagemaker") -> Shape | None:
    """The shape of an action's request; None if it has no members."""
    return service_model(service).operation_model(operation).input_shape


@functools.cache
def output_shape(operation: str, service: str = "sagemaker") -> Shape | None:
    """The shape of an action's response; None if it has no members."""
    return service_model(service).operation_model(operation).output_shape


def input_members(operation: str) -> Mapping[str, Shape]:
    """The members of the request of a SageMaker action."""
    shape = input_shape(operation)
    return shape.members if shape is not None else {}


def output_members(operation: str) -> Mapping[str, Shape]:
    """The members of the response of a SageMaker action."""
    shape = output_shape(operation)
    return shape.members if shape is not None else {}


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    if pattern in _ANYTHING:
        return None
    python = pattern.replace("\\p{L}", "^\\W\\d_").replace("\\p{Z}", "\\s").replace("\\p{N}", "\\d")
    if "^\\W\\d_" in python:  # `re` has no equivalent for Unicode classes in brackets
        return None
    try:
        return re.compile(python)
    except re.error:
        return None


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= _MAX_VALUE_SHOWN else f"{text[:_MAX_VALUE_SHOWN]}... ({len(text)} characters)"


def _shown_member(name: str) -> str:
    return name[:1].lower() + name[1:]


_CONSTRAINT = "failed to satisfy constraint: Member must "
_PATTERN = "satisfy regular expression pattern: "


def _broken(value: object, path: str, rule: str) -> str:
    return f"Value '{_shown(value)}' at '{path}' {_CONSTRAINT}{rule}"


def is_pattern_violation(text: str) -> bool:
    """Whether a message of `violations` is about a value that does not match its pattern."""
    return text.rpartition(_CONSTRAINT)[2].startswith(_PATTERN)


IsOpen = Callable[[Shape, object], bool]


def violations(shape: Shape | None, value: object, path: str = "", *, is_open: IsOpen | None = None) -> Iterator[str]:
    """Yield a message for each rule of `shape` that a value breaks.

    `is_open(shape, value)` is true for a value that is known only later, such as an expression.
    """
    if shape is None:
        return
    if is_open is not None and is_open(shape, value):
        return
    check = _CHECKS.get(shape.type_name, _check_other)
    yield from check(shape, value, path, is_open)


def _type_error(shape: Shape, value: object, path: str) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a number",
    }
    found = "null" if value is None else names.get(type(value), type(value).__name__)
    return _broken(value, path, f"be a {shape.type_name}, found {found}")


def _check_structure(shape: Shape, value: object, path: str, is_open: IsOpen | None) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _type_error(shape, value, path or "request")
        return
    dot = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{dot}{_shown_member(name)}' failed to satisfy constraint: Member must not be null"
    for name, member in value.items():
        if name not in shape.members:
            yield _broken(member, f"{dot}{_shown(name)}", f"be one that {shape.name} has")
        elif member is not None:
            yield from violations(shape.members[name], member, f"{dot}{_shown_member(name)}", is_open=is_open)


def _check_list(shape: Shape, value: object, path: str, is_open: IsOpen | None) -> Iterator[str]:
    if not isinstance(value, list):
        yield _type_error(shape, value, path)
        return
    yield from _check_length(shape, value, path)
    for index, item in enumerate(value, 1):
        yield from violations(shape.member, item, f"{path}.{index}.member", is_open=is_open)


def _check_map(shape: Shape, value: object, path: str, is_open: IsOpen | None) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _type_error(shape, value, path)
        return
    yield from _check_length(shape, value, path)
    for key, item in value.items():
        yield from violations(shape.key, key, f"{path}.{_shown(key)}.key")
        yield from violations(shape.value, item, f"{path}.{_shown(key)}.value", is_open=is_open)


def _check_length(shape: Shape, value: Sized, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        yield _broken(value, path, f"have length greater than or equal to {low}")
    if high is not None and len(value) > high:
        yield _broken(value, path, f"have length less than or equal to {high}")


def _check_string(shape: Shape, value: object, path: str, _is_open: IsOpen | None) -> Iterator[str]:
    if not isinstance(value, str):
        yield _type_error(shape, value, path)
        return
    if shape.enum and value not in shape.enum:
        yield _broken(value, path, f"satisfy enum value set: [{', '.join(shape.enum)}]")
        return
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        yield _broken(value, path, f"have length greater than or equal to {low}")
    if high is not None and len(value) > high:
        yield _broken(value, path, f"have length less than or equal to {high}")
        return  # matching a pattern against a long text can be slow
    pattern = shape.metadata.get("pattern")
    compiled = _compiled(pattern) if pattern else None
    if compiled is not None and not compiled.fullmatch(value):
        yield _broken(value, path, f"{_PATTERN}{pattern}")


def _check_number(shape: Shape, value: object, path: str, _is_open: IsOpen | None) -> Iterator[str]:
    whole = shape.type_name in ("integer", "long")
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        yield _type_error(shape, value, path)
        return
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield _broken(value, path, f"have value greater than or equal to {low}")
    if high is not None and value > high:
        yield _broken(value, path, f"have value less than or equal to {high}")
    if whole and not -(2**63) <= value < 2**63:
        yield _broken(value, path, "fit into 64 bits")


def _check_boolean(shape: Shape, value: object, path: str, _is_open: IsOpen | None) -> Iterator[str]:
    if not isinstance(value, bool):
        yield _type_error(shape, value, path)


def _check_timestamp(shape: Shape, value: object, path: str, _is_open: IsOpen | None) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        yield _type_error(shape, value, path)
    elif not 0 <= value < 253402300800:  # the year 10000
        yield _broken(value, path, "be seconds since the epoch, before the year 10000")


def _check_other(shape: Shape, value: object, path: str, _is_open: IsOpen | None) -> Iterator[str]:
    if not isinstance(value, str):  # blobs are base64 text
        yield _type_error(shape, value, path)


_CHECKS: dict[str, Callable[[Shape, object, str, IsOpen | None], Iterator[str]]] = {
    "structure": _check_structure,
    "list": _check_list,
    "map": _check_map,
    "string": _check_string,
    "integer": _check_number,
    "long": _check_number,
    "float": _check_number,
    "double": _check_number,
    "boolean": _check_boolean,
    "timestamp": _check_timestamp,
}


def validation_text(broken: list[str]) -> str:
    """Join the messages like the service: their number, then the first fifty."""
    shown = "; ".join(broken[:_MAX_SHOWN]) + (
        f"; and {len(broken) - _MAX_SHOWN} more" if len(broken) > _MAX_SHOWN else ""
    )
    return f"{len(broken)} validation error{'s' if len(broken) != 1 else ''} detected: {shown}"
