"""Parses definitions, and rejects everything that is certain to fail before it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from local_sagemaker.definition.duration import duration_seconds
from local_sagemaker.definition.graph import check_cycles
from local_sagemaker.definition.parameters import Parameter, parse_parameters
from local_sagemaker.definition.retry_policies import check_retry_policies
from local_sagemaker.expressions.checks import check_expressions
from local_sagemaker.expressions.problem import Problem, check_members
from local_sagemaker.expressions.values import reference, references
from local_sagemaker.json_text import loads
from local_sagemaker.steps.step import Step
from local_sagemaker.steps.step_type import StepType
from local_sagemaker.steps.step_types import STEP_TYPES, UNSUPPORTED
from local_sagemaker.types import JsonObject

VERSION = "2020-12-01"
MAX_BYTES = 1_048_576
MAX_STEPS = 2000
"""Maximum steps of a pipeline; the SDK's tests against the service create as many."""

_STEP_KEYS = {
    "Name", "Type", "Arguments", "DisplayName", "Description", "DependsOn", "CacheConfig", "PropertyFiles",
    "RetryPolicies",
}  # fmt: skip
_DEFINITION_KEYS = {"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps"}
"""Metadata and PipelineExperimentConfig have no effect, see docs/fidelity.md."""


@dataclass(frozen=True)
class Definition:
    """A checked definition."""

    parameters: dict[str, Parameter]
    steps: dict[str, Step]

    @cached_property
    def awaited(self) -> Mapping[str, frozenset[str]]:
        """By step, the Triggers of steps that depend on it, except Completed: Failed, Stopped or Any."""
        found: dict[str, frozenset[str]] = {}
        for step in self.steps.values():
            for name, trigger in step.triggers.items():
                found[name] = found.get(name, frozenset()) | {trigger}
        return found

    @property
    def required_parameters(self) -> list[str]:
        """The parameters that StartPipelineExecution must give."""
        return [name for name, parameter in self.parameters.items() if parameter.default is None]


def parse(text: str) -> Definition:
    """Parse and check a definition; raises Problem, whose message names the invalid member."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise Problem(f"It has {size} bytes, at most {MAX_BYTES} are allowed")
    try:
        document = loads(text)
    except ValueError as error:
        raise Problem(f"It is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Problem("It must be a JSON object")
    check_members(document, _DEFINITION_KEYS, "The definition")
    if document.get("Version") != VERSION:
        raise Problem(f"Version must be '{VERSION}', found {json.dumps(document.get('Version'))[:100]}")
    if document.get("MlflowConfig"):
        raise Problem("MlflowConfig is not supported by the local SageMaker: there is no MLflow server")
    declared = document.get("Parameters")
    parameters = parse_parameters([] if declared is None else declared)
    steps: dict[str, Step] = {}
    try:
        for step in _steps(document.get("Steps"), "Steps", None, True):
            if step.name in steps:
                raise Problem(f"Step names must be unique, '{step.name}' occurs more than once")
            steps[step.name] = step
    except RecursionError:
        raise Problem("Its values are nested too deeply") from None
    if len(steps) > MAX_STEPS:
        raise Problem(f"It has {len(steps)} steps, at most {MAX_STEPS} are supported here")
    definition = Definition(parameters, steps)
    types = {name: parameter.type for name, parameter in parameters.items()}
    for step in steps.values():
        _check_references(step, definition)
        STEP_TYPES[step.type].check_parameters(step.arguments, types)
    check_cycles({name: step.follows for name, step in steps.items()})
    return definition


def _steps(items: object, where: str, condition: str | None, branch: bool) -> Iterator[Step]:
    if not isinstance(items, list):
        raise Problem(f"{where} must be a list")
    if condition is None and not items:
        raise Problem(f"{where} must contain at least one step")
    for index, item in enumerate(items):
        step = _step(item, f"{where}[{index}]", condition, branch)
        yield step
        for key, outcome in STEP_TYPES[step.type].branches.items():
            yield from _steps(step.arguments.get(key) or [], f"{key} of step '{step.name}'", step.name, outcome)


def _step(item: object, where: str, condition: str | None, branch: bool) -> Step:
    if not isinstance(item, dict):
        raise Problem(f"{where} must be an object")
    name, kind = item.get("Name"), item.get("Type")
    if not isinstance(name, str) or not _is_step_name(name):
        raise Problem(
            f"{where}.Name must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -, found {json.dumps(name)[:100]}"
        )
    type_ = STEP_TYPES.get(kind) if isinstance(kind, str) else None
    if kind in UNSUPPORTED:
        runs = ", ".join(STEP_TYPES)
        raise Problem(f"Step '{name}' is of type {kind}, which this local SageMaker does not support (it runs {runs})")
    if type_ is None:
        raise Problem(f"Type of step '{name}' is unknown: {json.dumps(kind)[:100]}")
    check_members(item, _STEP_KEYS | type_.members, f"step '{name}'")
    arguments = item.get("Arguments")
    if not isinstance(arguments, dict):
        raise Problem(f"Arguments of step '{name}' must be an object")
    own = type_.own_arguments(arguments)
    check_expressions(own, f"step '{name}'")
    type_.check_arguments(name, arguments)
    members = {key: item[key] for key in type_.members if key in item}
    check_expressions(members, f"step '{name}'")
    type_.check_members(name, members)
    needs, triggers = _dependencies(name, [own, members], item.get("DependsOn"))
    return Step(
        name=name,
        type=type_.name,
        arguments=arguments,
        display_name=_text(item, "DisplayName", 256, name),
        description=_text(item, "Description", 3072, name),
        needs=needs,
        triggers=triggers,
        condition=condition,
        branch=branch,
        cache_days=_cache_days(item.get("CacheConfig"), name, type_),
        property_files=_property_files(item.get("PropertyFiles"), name, type_),
        retry_policies=check_retry_policies(item.get("RetryPolicies"), name),
        members=members,
    )


def _is_step_name(name: str) -> bool:
    return 0 < len(name) <= 64 and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)


def _text(item: JsonObject, key: str, most: int, step: str) -> str | None:
    value = item.get(key)
    if value is not None and (not isinstance(value, str) or len(value) > most):
        raise Problem(f"{key} of step '{step}' must be a string of at most {most} characters")
    return value


_TRIGGERS = ("Completed", "Failed", "Stopped", "Any")
"""The values in the SDK's StepDependency."""


def _dependencies(name: str, values: object, depends_on: object) -> tuple[frozenset[str], dict[str, str]]:
    """The steps that must have succeeded, and the Triggers of those that may end differently."""
    depends_on = [] if depends_on is None else depends_on
    if not isinstance(depends_on, list):
        raise Problem(f"DependsOn of step '{name}' must be a list of step names")
    used = {found.name for found in map(reference, references(values)) if found.root == "Steps"}
    triggers: dict[str, str] = {}
    needs: set[str] = set()
    for item in depends_on:
        step, trigger = _dependency(name, item)
        if triggers.get(step, trigger) != trigger or (step in needs and trigger != "Completed"):
            raise Problem(f"DependsOn of step '{name}' has '{step}' with more than one Trigger")
        if trigger == "Completed":
            needs.add(step)
        else:
            triggers[step] = trigger
    if both := sorted(used & triggers.keys()):
        raise Problem(
            f"Step '{name}' uses properties of step '{both[0]}', which exist only after it has completed, but"
            f" depends on it with the Trigger {triggers[both[0]]}"
        )
    return frozenset(used | needs), triggers


def _dependency(name: str, item: object) -> tuple[str, str]:
    if isinstance(item, str):
        return item, "Completed"
    where = f"DependsOn of step '{name}'"
    if not isinstance(item, dict):
        raise Problem(f"{where} must be a list of step names, or of objects with Step and Trigger")
    check_members(item, {"Step", "Trigger"}, where)
    step, trigger = item.get("Step"), item.get("Trigger")
    if not isinstance(step, str):
        raise Problem(f"{where}: Step must be the name of a step, found {json.dumps(step)[:100]}")
    if trigger not in _TRIGGERS:
        raise Problem(f"{where}: Trigger must be one of {', '.join(_TRIGGERS)}, found {json.dumps(trigger)[:100]}")
    return step, trigger


def _cache_days(config: object, name: str, type_: StepType) -> float | None:
    if config is None:
        return None
    if not type_.takes_cache_config:
        takers = ", ".join(other.name for other in STEP_TYPES.values() if other.takes_cache_config)
        raise Problem(f"Step '{name}' is of type {type_.name}, which has no CacheConfig (steps of {takers} have)")
    if not isinstance(config, dict):
        raise Problem(f"CacheConfig of step '{name}' must be an object")
    check_members(config, {"Enabled", "ExpireAfter"}, f"CacheConfig of step '{name}'")
    if not isinstance(config.get("Enabled"), bool):
        raise Problem(f"CacheConfig.Enabled of step '{name}' must be true or false")
    expire = config.get("ExpireAfter")
    days = _duration_days(expire) if expire is not None else 365.0 * 100
    if days is None:
        raise Problem(
            f"CacheConfig.ExpireAfter of step '{name}' must be an ISO 8601 duration such as P30D,"
            f" found {json.dumps(expire)[:100]}"
        )
    return days if config["Enabled"] else None


def _duration_days(text: object) -> float | None:
    """The days of an ISO 8601 duration such as P30D, T12H, PT1H or 5d; None if it is not valid."""
    seconds = duration_seconds(text)
    return None if seconds is None else seconds / 86400


def _property_files(items: object, step: str, type_: StepType) -> dict[str, tuple[str, str]]:
    if items is None or items == []:
        return {}
    if type_.creates != "CreateProcessingJob":
        raise Problem(f"Step '{step}' is of type {type_.name}, which has no PropertyFiles: only Processing has them")
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
    for found in map(reference, references([STEP_TYPES[step.type].own_arguments(step.arguments), step.members])):
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
            target = definition.steps[found.name]
            STEP_TYPES[target.type].check_property(target, found.path, where)
    for name in sorted(step.needs | step.triggers.keys()):
        if name not in definition.steps:
            raise Problem(f"Step '{step.name}' depends on step '{name}', which does not exist")
        if name == step.name:
            raise Problem(f"Step '{step.name}' depends on itself")
        needed = STEP_TYPES[definition.steps[name].type]
        if not needed.may_be_needed:
            raise Problem(f"{step.name} can not depends on {name}, which is a {needed.name} step")
