"""Check values against botocore's model of CreateTrainingJob, offline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Protocol

from airflow_sagemaker.exceptions import Violation
from airflow_sagemaker.types import JsonMapping

SEPARATORS = r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # \p{Z}: no tabs or line breaks
_PIPELINE_FUNCTIONS = frozenset({"Get", "Std:Join", "Std:JsonGet"})


class Shape(Protocol):
    """A botocore shape; its attributes depend on its type."""

    type_name: str
    members: Mapping[str, Shape]
    required_members: Sequence[str]
    member: Shape
    key: Shape
    value: Shape
    enum: Sequence[str]
    metadata: JsonMapping


@cache
def create_training_job_shape() -> Shape:
    """Return botocore's model of the request (0.2 s, no network)."""
    import botocore.session

    model = botocore.session.get_session().get_service_model("sagemaker")
    shape: Shape = model.operation_model("CreateTrainingJob").input_shape
    return shape


def shape_violations(path: str, value: object, shape: Shape, *, partial: bool = False) -> Iterator[Violation]:
    """Check a value against a botocore shape, including patterns, enums and limits, which botocore itself does not
    check.

    A pipeline variable such as {"Get": "Parameters.X"} matches any shape. With `partial`, the outer structures may lack
    required members, which are added later.
    """
    if isinstance(value, Mapping) and len(value) == 1 and _PIPELINE_FUNCTIONS.intersection(value):
        return
    kind = shape.type_name
    if kind == "structure":
        yield from _check_structure(path, value, shape, partial)
    elif kind == "list":
        yield from _check_list(path, value, shape)
    elif kind == "map":
        yield from _check_map(path, value, shape)
    else:
        yield from _check_scalar(path, value, shape)


def _check_structure(path: str, value: object, shape: Shape, partial: bool) -> Iterator[Violation]:
    if not isinstance(value, Mapping):
        yield Violation(path, value, "must be a mapping")
        return
    if not partial:
        for name in shape.required_members:
            if name not in value:
                yield Violation(path, dict(value), f"must contain {name}")
    for name, item in value.items():
        if name not in shape.members:
            yield Violation(
                f"{path}.{name}", item, f"is not a known member; expected one of {', '.join(shape.members)}"
            )
        else:
            # The second level is also shared with the settings: they add the path to OutputDataConfig.
            shared = partial and path == "extra_arguments" and shape.members[name].type_name == "structure"
            yield from shape_violations(f"{path}.{name}", item, shape.members[name], partial=shared)


def _check_list(path: str, value: object, shape: Shape) -> Iterator[Violation]:
    if not isinstance(value, list | tuple):
        yield Violation(path, value, "must be a list")
        return
    yield from _check_size(path, len(value), shape, "entries")
    for position, item in enumerate(value):
        yield from shape_violations(f"{path}[{position}]", item, shape.member)


def _check_map(path: str, value: object, shape: Shape) -> Iterator[Violation]:
    if not isinstance(value, Mapping):
        yield Violation(path, value, "must be a mapping")
        return
    yield from _check_size(path, len(value), shape, "entries")
    for name, item in value.items():
        yield from shape_violations(f"{path}.{name}", name, shape.key)
        yield from shape_violations(f"{path}.{name}", item, shape.value)


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "long": (int,), "float": (int, float), "double": (int, float),
    "boolean": (bool,),
}  # fmt: skip


def _check_scalar(path: str, value: object, shape: Shape) -> Iterator[Violation]:
    kind: str = shape.type_name
    wanted = _TYPES.get(kind)
    if wanted is None:
        return
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind != "boolean"):
        yield Violation(path, value, f"must be of type {kind}")
    elif isinstance(value, str):
        yield from _check_size(path, len(value), shape, "characters")
        yield from _check_text(path, value, shape)
    elif isinstance(value, int | float) and kind != "boolean":
        yield from _check_size(path, value, shape, "")


def _check_text(path: str, value: str, shape: Shape) -> Iterator[Violation]:
    if shape.enum and value not in shape.enum:
        yield Violation(path, value, f"must be one of {', '.join(shape.enum)}")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(_as_python(pattern), value, re.DOTALL):
        yield Violation(path, value, f"must match {pattern}")


def _check_size(path: str, size: float, shape: Shape, unit: str) -> Iterator[Violation]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        limits = f"at least {low}" if high is None else f"{low or 0} to {high}"
        yield Violation(path, size, f"must have {limits} {unit}" if unit else f"must be {limits}")


def _as_python(pattern: str) -> str:
    """Translate the only construct of Java's patterns in the service's model that Python lacks."""
    return (
        pattern.replace("\\p{Alnum}", "a-zA-Z0-9")
        .replace("\\p{L}", "\\w")
        .replace("\\p{Z}", SEPARATORS)
        .replace("\\p{N}", "\\d")
    )
