"""Resolves expressions: `Get`, `Std:Join` and `Std:JsonGet`, and the paths in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeGuard

from local_sagemaker.expressions.typed_text import TypedValue
from local_sagemaker.types import JsonObject, JsonValue

EXPRESSIONS = ("Get", "Std:Join", "Std:JsonGet")

_PART = re.compile(r"\.?([A-Za-z_][\w-]*)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")


class UnresolvedError(Exception):
    """An expression has no value; the message says which one and why."""


class Scope(Protocol):
    """The values of an execution that expressions can refer to."""

    def parameter(self, name: str) -> TypedValue | None:
        """The value of a pipeline parameter."""

    def execution(self, name: str) -> str:
        """The value of an execution variable such as `PipelineExecutionId`."""

    def step(self, name: str) -> JsonObject:
        """The properties of a step that has succeeded."""

    def property_file(self, step: str, name: str) -> JsonValue:
        """The parsed content of a property file."""

    def s3_json(self, uri: str) -> JsonValue:
        """The parsed content of a JSON object in S3."""


def is_expression(value: object) -> TypeGuard[JsonObject]:
    """Whether a value is known only when the pipeline runs."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in EXPRESSIONS


@dataclass(frozen=True)
class Reference:
    """A `Get`: `root` is Parameters, Execution or Steps, `name` the parameter, variable or step, `path` the rest."""

    root: str
    name: str
    path: tuple[str | int, ...]
    text: str


def split_path(text: str) -> tuple[str | int, ...]:
    """Split a path such as `A.B['c'].D[0]` into its parts; ValueError if it is not valid."""
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None or (position == 0 and match[0].startswith(".")):
            raise ValueError(text)
        if match[2] is not None:
            parts.append(int(match[2]))
        else:
            parts.append(next(group for group in (match[1], match[3], match[4]) if group is not None))
        position = match.end()
    if not parts:
        raise ValueError(text)
    return tuple(parts)


def reference(text: object) -> Reference:
    """Parse the argument of a `Get`; ValueError if it is not valid."""
    if not isinstance(text, str):
        raise ValueError(f"Get must name a string, found {json.dumps(text)[:100]}")
    root, _, rest = text.partition(".")
    if root not in ("Parameters", "Execution", "Steps") or not rest:
        raise ValueError(f"Get '{text[:200]}' must begin with Parameters., Execution. or Steps.")
    if root != "Steps":
        return Reference(root, rest, (), text)
    name, _, inner = rest.partition(".")
    if not inner:
        raise ValueError(f"Get '{text[:200]}' names no property of the step")
    try:
        return Reference(root, name, split_path(inner), text)
    except ValueError:
        raise ValueError(f"Get '{text[:200]}' is not a property path") from None


def references(value: object) -> Iterator[object]:
    """Yield the argument of each `Get` in a value, at any depth."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if set(item) == {"Get"}:
                yield item["Get"]
            else:
                stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def walk(value: JsonValue, path: tuple[str | int, ...], shown: str) -> JsonValue:
    """Follow a path into a value; in a list, a name selects the item with that name."""
    for part in path:
        value = _child(value, part, shown)
    return value


_NAME_KEYS = ("OutputName", "InputName", "MetricName", "ChannelName", "Name", "ContainerHostname")


def _child(value: JsonValue, part: str | int, shown: str) -> JsonValue:
    found: JsonValue
    if isinstance(value, dict) and str(part) in value:
        found = value[str(part)]
        return found
    if isinstance(value, list):
        if isinstance(part, int) and part < len(value):
            found = value[part]
            return found
        for item in value:
            if isinstance(item, dict) and any(item.get(key) == part for key in _NAME_KEYS):
                return item
    raise UnresolvedError(f"'{shown}' has no value: there is no '{part}'")


def known_structure(value: object) -> JsonObject:
    """Return an object whose members can be checked; an empty one for an expression, or a value of another type."""
    return value if isinstance(value, dict) and not is_expression(value) else {}


def as_text(value: object) -> str:
    """Convert a value to text, as in `Std:Join`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return str(value)


def resolve(value: JsonValue, scope: Scope) -> JsonValue:
    """Replace all expressions in a value; raises UnresolvedError."""
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    if not isinstance(value, dict):
        return value
    if not is_expression(value):
        return {key: resolve(item, scope) for key, item in value.items()}
    kind, argument = next(iter(value.items()))
    if kind == "Get":
        return _get(argument, scope)
    if kind == "Std:Join":
        return as_text(argument["On"]).join(as_text(resolve(item, scope)) for item in argument["Values"])
    return _json_get(argument, scope)


def _get(text: str, scope: Scope) -> JsonValue:
    found = reference(text)
    if found.root == "Parameters":
        return scope.parameter(found.name)
    if found.root == "Execution":
        return scope.execution(found.name)
    return walk(scope.step(found.name), found.path, text)


def _json_get(argument: JsonObject, scope: Scope) -> JsonValue:
    path = argument["Path"]
    if "S3Uri" in argument:
        uri = str(resolve(argument["S3Uri"], scope))
        return walk(scope.s3_json(uri), split_path(path), f"{path} of {uri}")
    found = reference(argument["PropertyFile"]["Get"])
    return walk(scope.property_file(found.name, str(found.path[1])), split_path(path), f"{path} of {found.text}")
