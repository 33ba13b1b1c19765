"""OutputParameters of Callback and Lambda steps: declared with types, given as text or JSON when the step ends."""

from __future__ import annotations

import json
from collections.abc import Mapping

from local_sagemaker.expressions.problem import Problem, check_members
from local_sagemaker.expressions.typed_text import TYPES, TypedValue, from_text
from local_sagemaker.steps.step import Step
from local_sagemaker.steps.step_type import Path

MEMBER = "OutputParameters"
_MAX_OUTPUTS = 50
_MAX_TEXT = 1024
"""Maximum characters of a value (botocore's model: OutputParameter)."""


def check_outputs(step: str, declared: object) -> None:
    """Check a step's declared outputs; raises Problem."""
    where = f"{MEMBER} of step '{step}'"
    if declared is None:
        return
    if not isinstance(declared, list) or len(declared) > _MAX_OUTPUTS:
        raise Problem(f"{where} must be a list of at most {_MAX_OUTPUTS}")
    names = set()
    for item in declared:
        if not isinstance(item, dict):
            raise Problem(f"{where} must contain objects with OutputName and OutputType")
        check_members(item, {"OutputName", "OutputType"}, where)
        name, kind = item.get("OutputName"), item.get("OutputType")
        if not isinstance(name, str) or not 0 < len(name) <= 256:
            raise Problem(f"{where}: OutputName must be a string of 1 to 256 characters")
        if not isinstance(kind, str) or kind not in TYPES:
            raise Problem(f"{where}: OutputType of '{name}' must be one of {', '.join(TYPES)}")
        if name in names:
            raise Problem(f"{where} has '{name}' more than once")
        names.add(name)


def declared_names(step: Step) -> list[str]:
    """The names of a step's declared outputs."""
    return list(_types(step))


def check_property(step: Step, path: Path, where: str) -> None:
    """Check that a path is a declared output; raises Problem."""
    if path[0] != MEMBER or len(path) != 2:
        raise Problem(f"{where} names a property that a {step.type} step does not have, it has {MEMBER}['<name>']")
    if path[1] not in _types(step):
        raise Problem(f"{where} names an output that step '{step.name}' does not declare in {MEMBER}")


def typed(step: Step, given: Mapping[str, str]) -> dict[str, TypedValue]:
    """The outputs' values by name; Problem for one that is not declared or has the wrong type."""
    types = _types(step)
    values = {}
    for name, text in given.items():
        if name not in types:
            known = ", ".join(types) or "none"
            raise Problem(f"Step '{step.name}' has no output parameter '{name}' (it declares {known})")
        if len(text) > _MAX_TEXT:
            raise Problem(f"Output parameter '{name}' has {len(text)} characters, at most {_MAX_TEXT} are allowed")
        try:
            values[name] = from_text(types[name], text)
        except ValueError:
            raise Problem(f"Output parameter '{name}' must be of type {types[name]}, found '{text[:100]}'") from None
    return values


def as_members(values: Mapping[str, TypedValue]) -> list[dict[str, str]]:
    """The values in the format of a step's Metadata."""
    return [
        {"Name": name, "Value": value if isinstance(value, str) else json.dumps(value)}
        for name, value in values.items()
    ]


def _types(step: Step) -> dict[str, str]:
    return {item["OutputName"]: item["OutputType"] for item in step.members.get(MEMBER) or []}
