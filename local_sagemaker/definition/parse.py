"""A definition's text into steps, with everything refused that can be known to be wrong before it runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from local_sagemaker.definition.checks import (
    check_arguments,
    check_expressions,
    check_parameter_types,
    check_property,
    check_retry_policies,
)
from local_sagemaker.definition.graph import check_cycles
from local_sagemaker.definition.problem import Problem
from local_sagemaker.definition.values import is_expression, reference, references
from local_sagemaker.json_text import loads

VERSION = "2020-12-01"
MAX_BYTES = 1_048_576
MAX_PARAMETERS = 200
MAX_STEPS = 2000
"""Steps of one pipeline; the SDK's tests against the service make as many."""

SUPPORTED = ("Training", "Processing", "Condition", "Fail", "Model", "RegisterModel")
"""The types of step that run here."""

KNOWN = (
    *SUPPORTED, "Transform", "Tuning", "Lambda", "Callback", "ClarifyCheck", "QualityCheck", "EMR", "EMRServerless",
    "AutoML", "EndpointConfig", "Endpoint", "Job", "ForEach", "MonitorDataQuality",
)  # fmt: skip
"""Types that the service has; the others are refused as unknown."""

_STEP_KEYS = {
    "Name", "Type", "Arguments", "DisplayName", "Description", "DependsOn", "CacheConfig", "PropertyFiles",
    "RetryPolicies",
}  # fmt: skip
_DEFINITION_KEYS = {"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps"}
_PARAMETER_TYPES: dict[str, tuple[type, ...]] = {
    "String": (str,), "Integer": (int,), "Float": (int, float), "Boolean": (bool,),
}  # fmt: skip


_NUMBER = {
    "Integer": re.compile(r"[+-]?[0-9]+"),
    "Float": re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"),
}


@dataclass(frozen=True)
class Parameter:
    """A pipeline parameter; `default` is None when a start must give the value."""

    name: str
    type: str
    default: Any = None
    enum: tuple[Any, ...] | None = None

    def parse(self, text: str) -> Any:
        """The typed value of what StartPipelineExecution gave; raises Problem."""
        try:
            value = _from_text(self.type, text)
        except ValueError:
            raise Problem(f"Parameter [{self.name}] value [{text[:200]}] is not of type {self.type}") from None
        if self.enum is not None and value not in self.enum:
            allowed = ", ".join(str(item) for item in self.enum)
            raise Problem(f"Parameter [{self.name}] value [{text[:200]}] is not one of its enum values: [{allowed}]")
        return value


def _from_text(kind: str, text: str) -> Any:
    if kind == "String":
        return text
    if kind == "Boolean":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    # Python's own numbers may hold underscores, spaces and other digits
    if not _NUMBER[kind].fullmatch(text):
        raise ValueError(text)
    value: int | float = int(text) if kind == "Integer" else float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


@dataclass(frozen=True)
class Step:
    """One step; those inside a condition have that condition's name and the branch they stand in."""

    name: str
    type: str
    arguments: dict[str, Any]
    display_name: str | None = None
    description: str | None = None
    needs: frozenset[str] = frozenset()
    """The steps that must have succeeded first: DependsOn, and those whose properties it uses."""
    condition: str | None = None
    branch: bool = True
    cache_days: float | None = None
    """For how long an earlier result is taken, in days; None: caching is off."""
    property_files: dict[str, tuple[str, str]] = field(default_factory=dict)
    retry_policies: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Definition:
    """A checked definition."""

    parameters: dict[str, Parameter]
    steps: dict[str, Step]


def parse(text: str) -> Definition:
    """Parse and check a definition's text; raises Problem naming the offending member."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise Problem(f"It has {size} bytes, at most {MAX_BYTES} are allowed")
    try:
        document = loads(text)
    except ValueError as error:
        raise Problem(f"It is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Problem("It must be a JSON object")
    _no_unknown(document, _DEFINITION_KEYS, "The definition")
    if document.get("Version") != VERSION:
        raise Problem(f"Version must be '{VERSION}', found {json.dumps(document.get('Version'))[:100]}")
    parameters = _parameters(document.get("Parameters") or [])
    steps: dict[str, Step] = {}
    try:
        for step in _steps(document.get("Steps"), "Steps", None, True):
            if step.name in steps:
                raise Problem(f"Step names must be unique, '{step.name}' is there more than once")
            steps[step.name] = step
    except RecursionError:
        raise Problem("Its values are nested too deeply") from None
    if len(steps) > MAX_STEPS:
        raise Problem(f"It has {len(steps)} steps, at most {MAX_STEPS} are supported here")
    definition = Definition(parameters, steps)
    types = {name: parameter.type for name, parameter in parameters.items()}
    for step in steps.values():
        _check_references(step, definition)
        check_parameter_types(step.type, step.arguments, types)
    check_cycles({name: _blockers(step) for name, step in steps.items()})
    return definition


def _blockers(step: Step) -> frozenset[str]:
    return step.needs | ({step.condition} if step.condition else frozenset())


def _no_unknown(document: dict[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(document) - known)
    if unknown:
        raise Problem(f"{where} has the unknown member '{unknown[0][:200]}'")


def _parameters(items: Any) -> dict[str, Parameter]:
    if not isinstance(items, list) or len(items) > MAX_PARAMETERS:
        raise Problem(f"Parameters must be a list of at most {MAX_PARAMETERS}")
    found: dict[str, Parameter] = {}
    for index, item in enumerate(items):
        where = f"Parameters[{index}]"
        if not isinstance(item, dict):
            raise Problem(f"{where} must be an object")
        _no_unknown(item, {"Name", "Type", "DefaultValue", "EnumValues", "Description"}, where)
        name, kind = item.get("Name"), item.get("Type")
        if not isinstance(name, str) or not 0 < len(name) <= 256:
            raise Problem(f"{where}.Name must be a string of 1 to 256 characters")
        if name in found:
            raise Problem(f"Parameter names must be unique, '{name}' is there more than once")
        if not isinstance(kind, str) or kind not in _PARAMETER_TYPES:
            raise Problem(f"Type of parameter '{name}' must be one of {', '.join(_PARAMETER_TYPES)}")
        found[name] = Parameter(name, kind, item.get("DefaultValue"), _enum(item, name, kind))
        _check_value(found[name].default, kind, f"DefaultValue of parameter '{name}'")
        enum = found[name].enum
        if enum is not None and found[name].default is not None and found[name].default not in enum:
            raise Problem(f"DefaultValue of parameter '{name}' is not one of its EnumValues")
    return found


def _enum(item: dict[str, Any], name: str, kind: str) -> tuple[Any, ...] | None:
    values = item.get("EnumValues")
    if values is None:
        return None
    if not isinstance(values, list) or not values:
        raise Problem(f"EnumValues of parameter '{name}' must be a list with at least one value")
    for value in values:
        _check_value(value, kind, f"EnumValues of parameter '{name}'")
    return tuple(values)


def _check_value(value: Any, kind: str, where: str) -> None:
    if value is None:
        return
    wrong_bool = isinstance(value, bool) and kind != "Boolean"
    if wrong_bool or not isinstance(value, _PARAMETER_TYPES[kind]):
        raise Problem(f"{where} must be of type {kind}, found {json.dumps(value)[:100]}")


def _steps(items: Any, where: str, condition: str | None, branch: bool) -> Iterator[Step]:
    if not isinstance(items, list):
        raise Problem(f"{where} must be a list")
    if condition is None and not items:
        raise Problem(f"{where} must hold at least one step")
    for index, item in enumerate(items):
        step = _step(item, f"{where}[{index}]", condition, branch)
        yield step
        if step.type == "Condition":
            for key, taken in (("IfSteps", True), ("ElseSteps", False)):
                yield from _steps(step.arguments.get(key) or [], f"{key} of step '{step.name}'", step.name, taken)


def _step(item: Any, where: str, condition: str | None, branch: bool) -> Step:
    if not isinstance(item, dict):
        raise Problem(f"{where} must be an object")
    name, kind = item.get("Name"), item.get("Type")
    if not isinstance(name, str) or not _is_step_name(name):
        raise Problem(
            f"{where}.Name must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -, found {json.dumps(name)[:100]}"
        )
    if kind not in KNOWN:
        raise Problem(f"Type of step '{name}' is unknown: {json.dumps(kind)[:100]}")
    if kind not in SUPPORTED:
        runs = ", ".join(SUPPORTED)
        raise Problem(f"Step '{name}' is of type {kind}, which this local SageMaker does not support (it runs {runs})")
    _no_unknown(item, _STEP_KEYS, f"step '{name}'")
    arguments = item.get("Arguments")
    if not isinstance(arguments, dict):
        raise Problem(f"Arguments of step '{name}' must be an object")
    check_expressions(arguments, f"step '{name}'")
    check_arguments(name, kind, arguments)
    return Step(
        name=name,
        type=kind,
        arguments=arguments,
        display_name=_text(item, "DisplayName", 256, name),
        description=_text(item, "Description", 3072, name),
        needs=_needs(name, kind, arguments, item.get("DependsOn")),
        condition=condition,
        branch=branch,
        cache_days=_cache_days(item.get("CacheConfig"), name),
        property_files=_property_files(item.get("PropertyFiles"), name),
        retry_policies=check_retry_policies(item.get("RetryPolicies"), name),
    )


def _is_step_name(name: str) -> bool:
    return 0 < len(name) <= 64 and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)


def _text(item: dict[str, Any], key: str, most: int, step: str) -> str | None:
    value = item.get(key)
    if value is not None and (not isinstance(value, str) or len(value) > most):
        raise Problem(f"{key} of step '{step}' must be a string of at most {most} characters")
    return value


def _needs(name: str, kind: str, arguments: dict[str, Any], depends_on: Any) -> frozenset[str]:
    depends_on = [] if depends_on is None else depends_on
    if not isinstance(depends_on, list) or not all(isinstance(item, str) for item in depends_on):
        raise Problem(f"DependsOn of step '{name}' must be a list of step names")
    # the steps inside a condition have needs of their own
    own = {key: value for key, value in arguments.items() if kind != "Condition" or key == "Conditions"}
    used = {found.name for found in map(reference, references(own)) if found.root == "Steps"}
    return frozenset(used) | {str(item) for item in depends_on}


_UNITS = {"d": 1.0, "D": 1.0, "w": 7.0, "W": 7.0}


def _cache_days(config: Any, name: str) -> float | None:
    if config is None:
        return None
    if not isinstance(config, dict):
        raise Problem(f"CacheConfig of step '{name}' must be an object")
    _no_unknown(config, {"Enabled", "ExpireAfter"}, f"CacheConfig of step '{name}'")
    if not isinstance(config.get("Enabled"), bool):
        raise Problem(f"CacheConfig.Enabled of step '{name}' must be true or false")
    expire = config.get("ExpireAfter")
    days = _duration_days(expire) if expire is not None else 365.0 * 100
    if days is None:
        raise Problem(f"CacheConfig.ExpireAfter of step '{name}' is no ISO 8601 duration: {json.dumps(expire)[:100]}")
    return days if config["Enabled"] else None


def _duration_days(text: Any) -> float | None:
    """The days of an ISO 8601 duration such as P30D, T12H, PT1H or 5d."""
    from local_sagemaker.definition.duration import duration_seconds

    seconds = duration_seconds(text)
    return None if seconds is None else seconds / 86400


def _property_files(items: Any, step: str) -> dict[str, tuple[str, str]]:
    if items is None:
        return {}
    if not isinstance(items, list):
        raise Problem(f"PropertyFiles of step '{step}' must be a list")
    found: dict[str, tuple[str, str]] = {}
    for item in items:
        members = ("PropertyFileName", "OutputName", "FilePath")
        values = [item.get(member) if isinstance(item, dict) else None for member in members]
        if not all(isinstance(value, str) and value for value in values):
            raise Problem(f"Each of PropertyFiles of step '{step}' must have PropertyFileName, OutputName and FilePath")
        name, output, path = (str(value) for value in values)
        if name in found:
            raise Problem(f"PropertyFiles of step '{step}' has '{name}' more than once")
        found[name] = (output, path)
    return found


EXECUTION_VARIABLES = (
    "StartDateTime", "CurrentDateTime", "PipelineName", "PipelineArn", "PipelineExecutionId", "PipelineExecutionArn",
    "TrainingJobName", "ProcessingJobName",
)  # fmt: skip


def _check_references(step: Step, definition: Definition) -> None:
    own = {key: value for key, value in step.arguments.items() if step.type != "Condition" or key == "Conditions"}
    for found in map(reference, references(own)):
        where = f"'{found.text}' in step '{step.name}'"
        if found.root == "Parameters" and found.name not in definition.parameters:
            raise Problem(f"{where} names the parameter '{found.name}', which is not defined")
        if found.root == "Execution" and found.name not in EXECUTION_VARIABLES:
            raise Problem(f"{where} names the execution variable '{found.name}', which does not exist")
        if found.root == "Steps" and found.path[0] == "PropertyFiles":
            target = definition.steps.get(found.name)
            if target is not None and (len(found.path) != 2 or found.path[1] not in target.property_files):
                raise Problem(f"{where} names a property file that step '{found.name}' does not have")
        elif found.root == "Steps" and found.name in definition.steps:
            check_property(definition.steps[found.name].type, found.path, where)
    for name in sorted(step.needs):
        if name not in definition.steps:
            raise Problem(f"Step '{step.name}' depends on step '{name}', which does not exist")
        if name == step.name:
            raise Problem(f"Step '{step.name}' depends on itself")
        if definition.steps[name].type == "Fail":
            raise Problem(f"{step.name} can not depends on {name}, which is a Fail step")


def required_parameters(definition: Definition) -> list[str]:
    """The parameters that a start must give."""
    return [name for name, parameter in definition.parameters.items() if parameter.default is None]


__all__ = ["Definition", "Parameter", "Problem", "Step", "is_expression", "parse", "required_parameters"]
