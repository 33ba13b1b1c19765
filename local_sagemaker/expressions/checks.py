"""Checks the syntax of expressions before anything runs."""

from __future__ import annotations

from local_sagemaker.expressions.problem import Problem, check_members
from local_sagemaker.expressions.values import is_expression, reference, split_path
from local_sagemaker.types import JsonObject

MAX_NESTING = 60
"""Maximum nesting of a step's arguments, excluding steps inside a condition."""

_MEMBERS = {"Std:Join": {"On", "Values"}, "Std:JsonGet": {"Path", "PropertyFile", "S3Uri"}}


def check_expressions(value: object, where: str, depth: int = 0) -> None:
    """Check the syntax of all expressions in a value; raises Problem."""
    if depth > MAX_NESTING:
        raise Problem(f"The arguments of {where} are nested more than {MAX_NESTING} deep")
    if isinstance(value, list):
        for item in value:
            check_expressions(item, where, depth + 1)
    elif isinstance(value, dict):
        if is_expression(value):
            _check_expression(value, where, depth)
        else:
            for item in value.values():
                check_expressions(item, where, depth + 1)


def _check_expression(value: JsonObject, where: str, depth: int) -> None:
    kind, argument = next(iter(value.items()))
    if kind == "Get":
        try:
            reference(argument)
        except ValueError as error:
            raise Problem(f"{error}, in {where}") from None
        return
    if not isinstance(argument, dict):
        raise Problem(f"{kind} in {where} must be an object")
    check_members(argument, _MEMBERS[kind], f"{kind} in {where}")
    if kind == "Std:Join":
        if not isinstance(argument.get("On"), str) or not isinstance(argument.get("Values"), list):
            raise Problem(f"Std:Join in {where} must have a string On and a list Values")
        check_expressions(argument["Values"], where, depth + 1)
        return
    _check_json_get(argument, where, depth)


def _check_json_get(argument: JsonObject, where: str, depth: int) -> None:
    path = argument.get("Path")
    try:
        split_path(path if isinstance(path, str) else "")
    except ValueError:
        raise Problem(f"Std:JsonGet in {where} must have a Path such as a.b[0], found {str(path)[:100]!r}") from None
    if ("S3Uri" in argument) == ("PropertyFile" in argument):
        raise Problem(f"Std:JsonGet in {where} must have either PropertyFile or S3Uri")
    check_expressions(argument.get("S3Uri"), where, depth + 1)
    if "PropertyFile" in argument:
        target = argument["PropertyFile"]
        check_expressions(target, where, depth + 1)
        found = reference(target["Get"]) if isinstance(target, dict) and set(target) == {"Get"} else None
        if found is None or found.root != "Steps" or found.path[0] != "PropertyFiles" or len(found.path) != 2:
            raise Problem(f"PropertyFile of Std:JsonGet in {where} must be a Get on Steps.<step>.PropertyFiles.<name>")
