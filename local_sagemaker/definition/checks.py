"""Checks of a step's parts against the service's model, with expressions left open."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from local_sagemaker import service_model
from local_sagemaker.definition.conditions import check_condition
from local_sagemaker.definition.problem import AssignmentProblem, Problem
from local_sagemaker.definition.values import is_expression, reference, split_path
from local_sagemaker.jobs import find_unsupported

CREATES = {
    "Training": ("CreateTrainingJob", "TrainingJobName"),
    "Processing": ("CreateProcessingJob", "ProcessingJobName"),
    "Model": ("CreateModel", "ModelName"),
    "RegisterModel": ("CreateModelPackage", "ModelPackageName"),
}
"""The action that a step's arguments are for, and the name that the service gives when they leave it out."""

MAX_NESTING = 60


def check_expressions(value: Any, where: str, depth: int = 0) -> None:
    """Check the form of every expression inside a value; raises Problem."""
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


def _check_expression(value: dict[str, Any], where: str, depth: int) -> None:
    kind, argument = next(iter(value.items()))
    if kind == "Get":
        try:
            reference(argument)
        except ValueError as error:
            raise Problem(f"{error}, in {where}") from None
        return
    if not isinstance(argument, dict):
        raise Problem(f"{kind} in {where} must be an object")
    if kind == "Std:Join":
        if not isinstance(argument.get("On"), str) or not isinstance(argument.get("Values"), list):
            raise Problem(f"Std:Join in {where} must have the text On and the list Values")
        check_expressions(argument["Values"], where, depth + 1)
        return
    _check_json_get(argument, where, depth)


def _check_json_get(argument: dict[str, Any], where: str, depth: int) -> None:
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


def check_arguments(name: str, kind: str, arguments: dict[str, Any]) -> None:
    """Check a step's arguments against the request of the action they are for; raises Problem."""
    if kind == "Fail":
        _only(arguments, {"ErrorMessage"}, name)
        if not isinstance(arguments.get("ErrorMessage", ""), str) and not is_expression(arguments["ErrorMessage"]):
            raise Problem(f"ErrorMessage of step '{name}' must be a text")
    elif kind == "Condition":
        _only(arguments, {"Conditions", "IfSteps", "ElseSteps"}, name)
        conditions = arguments.get("Conditions")
        if not isinstance(conditions, list) or not conditions:
            raise Problem(f"Conditions of step '{name}' must be a list with at least one condition")
        for condition in conditions:
            check_condition(condition, f"step '{name}'")
    else:
        operation, name_member = CREATES[kind]
        complete = copy.copy(arguments)
        complete.setdefault(name_member, "x")
        broken = list(
            service_model.violations(
                service_model.input_shape(operation), complete, is_open=lambda _shape, value: is_expression(value)
            )
        )
        if broken:
            raise Problem(
                f"Model Validation failed: step '{name}', {operation}: {service_model.validation_text(broken)}"
            )
        unsupported = refusals(kind, arguments)
        if unsupported:
            raise Problem(f"Step '{name}': {'; '.join(unsupported)}")


def check_parameter_types(kind: str, arguments: dict[str, Any], types: Mapping[str, str]) -> None:
    """Check that no text of a request is a parameter of another type; raises AssignmentProblem.

    The service refuses it in these words (aws/sagemaker-python-sdk #4867); the SDK's `to_string()` makes a Join of it.
    """

    def is_open(shape: Any, value: Any) -> bool:
        if not is_expression(value):
            return False
        name = str(value.get("Get", "")).removeprefix("Parameters.")
        if shape.type_name == "string" and f"Parameters.{name}" == value.get("Get") and types.get(name) != "String":
            raise AssignmentProblem(
                f"Cannot assign property reference [Parameters.{name}] to argument of type [String]."
            )
        return True

    if kind in CREATES:
        operation, _ = CREATES[kind]
        deque(service_model.violations(service_model.input_shape(operation), arguments, is_open=is_open), maxlen=0)


_PROPERTIES = {
    "Training": "DescribeTrainingJob",
    "Processing": "DescribeProcessingJob",
    "Model": "DescribeModel",
    "RegisterModel": "DescribeModelPackage",
}
"""The action whose answer are a step's properties."""


def check_property(kind: str, path: tuple[str | int, ...], where: str) -> None:
    """Check that a step of that kind has such a property; raises Problem."""
    if kind not in _PROPERTIES:
        if kind == "Condition" and path != ("Outcome",):
            raise Problem(f"{where} names a property that a Condition step does not have, it has Outcome")
        return
    shape = service_model.output_shape(_PROPERTIES[kind])
    for part in path:
        if shape.type_name == "structure" and part in shape.members:
            shape = shape.members[part]
        elif shape.type_name == "list":
            shape = shape.member
        elif shape.type_name == "map":
            shape = shape.value
        else:
            raise Problem(f"{where} names a property that does not exist: {shape.name} has no '{str(part)[:100]}'")


def refusals(kind: str, request: dict[str, Any]) -> list[str]:
    """What of a job's request is not supported here, or breaks a rule that the model does not have; a sentence each."""
    if kind == "Training":
        return [*map(str, find_unsupported("training", request)), *_spot_problems(request)]
    return [str(item) for item in find_unsupported("processing", request)] if kind == "Processing" else []


def _spot_problems(request: dict[str, Any]) -> Iterator[str]:
    condition = request.get("StoppingCondition")
    condition = condition if isinstance(condition, dict) else {}
    runtime, wait = condition.get("MaxRuntimeInSeconds", 86400), condition.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining") in (None, False):
        if wait is not None:
            yield "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true"
    elif wait is None or (isinstance(wait, int) and isinstance(runtime, int) and wait < runtime):
        yield "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"


def _only(arguments: dict[str, Any], known: set[str], name: str) -> None:
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise Problem(f"Arguments of step '{name}' have the unknown member '{unknown[0][:200]}'")


EXCEPTION_TYPES = (
    "Step.SERVICE_FAULT", "Step.THROTTLING", "SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
)  # fmt: skip

_POLICY_NUMBERS = {"IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 1, "ExpireAfterMin": 1}


def check_retry_policies(policies: Any, name: str) -> tuple[dict[str, Any], ...]:
    """Check a step's RetryPolicies; raises Problem."""
    if policies is None:
        return ()
    if not isinstance(policies, list):
        raise Problem(f"RetryPolicies of step '{name}' must be a list")
    for policy in policies:
        if not isinstance(policy, dict):
            raise Problem(f"RetryPolicies of step '{name}' must hold objects")
        unknown = sorted(set(policy) - {"ExceptionType", *_POLICY_NUMBERS})
        if unknown:
            raise Problem(f"RetryPolicies of step '{name}' have the unknown member '{unknown[0][:200]}'")
        kinds = policy.get("ExceptionType")
        if not isinstance(kinds, list) or not kinds or any(kind not in EXCEPTION_TYPES for kind in kinds):
            raise Problem(
                f"ExceptionType in RetryPolicies of step '{name}' must be a list of {', '.join(EXCEPTION_TYPES)}"
            )
        for key, low in _POLICY_NUMBERS.items():
            value = policy.get(key, low)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= 10**6:
                raise Problem(f"{key} in RetryPolicies of step '{name}' must be a number of at least {low}")
        if "MaxAttempts" in policy and "ExpireAfterMin" in policy:
            raise Problem(
                f"RetryPolicies of step '{name}' have both MaxAttempts and ExpireAfterMin: one of them ends a policy"
            )
    return tuple(policies)
