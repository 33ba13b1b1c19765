"""Pipeline parameters: their declarations in a definition, and the values of StartPipelineExecution."""

from __future__ import annotations

import json
from dataclasses import dataclass

from local_sagemaker.expressions.problem import Problem, check_members
from local_sagemaker.expressions.typed_text import TYPES, TypedValue, from_text
from local_sagemaker.types import JsonObject

MAX_PARAMETERS = 200


@dataclass(frozen=True)
class Parameter:
    """A pipeline parameter; `default` is None if StartPipelineExecution must give a value."""

    name: str
    type: str
    default: TypedValue | None = None
    enum: tuple[TypedValue, ...] | None = None

    def parse(self, text: str) -> TypedValue:
        """Parse a value from StartPipelineExecution; Problem if it has the wrong type or is not in the enum."""
        try:
            value = from_text(self.type, text)
        except ValueError:
            raise Problem(f"Parameter [{self.name}] value [{text[:200]}] is not of type {self.type}") from None
        if self.enum is not None and value not in self.enum:
            allowed = ", ".join(str(item) for item in self.enum)
            raise Problem(f"Parameter [{self.name}] value [{text[:200]}] is not one of its enum values: [{allowed}]")
        return value


def parse_parameters(items: object) -> dict[str, Parameter]:
    """The declared parameters by name; raises Problem."""
    if not isinstance(items, list) or len(items) > MAX_PARAMETERS:
        raise Problem(f"Parameters must be a list of at most {MAX_PARAMETERS}")
    found: dict[str, Parameter] = {}
    for index, item in enumerate(items):
        where = f"Parameters[{index}]"
        if not isinstance(item, dict):
            raise Problem(f"{where} must be an object")
        check_members(item, {"Name", "Type", "DefaultValue", "EnumValues", "Description"}, where)
        name, kind = item.get("Name"), item.get("Type")
        if not isinstance(name, str) or not 0 < len(name) <= 256:
            raise Problem(f"{where}.Name must be a string of 1 to 256 characters")
        if name in found:
            raise Problem(f"Parameter names must be unique, '{name}' occurs more than once")
        if not isinstance(kind, str) or kind not in TYPES:
            raise Problem(f"Type of parameter '{name}' must be one of {', '.join(TYPES)}")
        found[name] = Parameter(name, kind, item.get("DefaultValue"), _enum(item, name, kind))
        _check_value(found[name].default, kind, f"DefaultValue of parameter '{name}'")
        enum = found[name].enum
        if enum is not None and found[name].default is not None and found[name].default not in enum:
            raise Problem(f"DefaultValue of parameter '{name}' is not one of its EnumValues")
    return found


def _enum(item: JsonObject, name: str, kind: str) -> tuple[TypedValue, ...] | None:
    values = item.get("EnumValues")
    if values is None:
        return None
    if not isinstance(values, list) or not values:
        raise Problem(f"EnumValues of parameter '{name}' must be a list with at least one value")
    for value in values:
        _check_value(value, kind, f"EnumValues of parameter '{name}'")
    return tuple(values)


def _check_value(value: object, kind: str, where: str) -> None:
    if value is None:
        return
    wrong_bool = isinstance(value, bool) and kind != "Boolean"
    if wrong_bool or not isinstance(value, TYPES[kind]):
        raise Problem(f"{where} must be of type {kind}, found {json.dumps(value)[:100]}")
