"""The Lambda step: calls a function; its result becomes the step's outputs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import ClassVar

from local_sagemaker.expressions.problem import Problem
from local_sagemaker.expressions.typed_text import TypedValue
from local_sagemaker.expressions.values import as_text, is_expression
from local_sagemaker.identifiers import now
from local_sagemaker.jobs.functions import Outcome
from local_sagemaker.json_text import dumps
from local_sagemaker.requests.checks import RequestChecks
from local_sagemaker.requests.functions import FUNCTION_ARN
from local_sagemaker.steps import output_parameters
from local_sagemaker.steps.step import Arguments, Step
from local_sagemaker.steps.step_run import REASON_LENGTH, StepRun
from local_sagemaker.steps.step_type import Path, StepType
from local_sagemaker.types import JsonMapping, SqlValue


class LambdaStep(StepType):
    """Calls a function with its arguments as the event."""

    name = "Lambda"
    creates = None
    takes_cache_config: ClassVar = True  # the SDK sends it, but the service does not cache these steps
    members: ClassVar = frozenset({"FunctionArn", output_parameters.MEMBER})

    def check_arguments(self, step: str, arguments: Arguments) -> None:
        """Accept any object: it is the function's event."""

    def check_members(self, step: str, members: JsonMapping) -> None:
        """Check the function's ARN and the outputs."""
        arn = members.get("FunctionArn")
        if not is_expression(arn):
            _checked_arn(step, arn)
        output_parameters.check_outputs(step, members.get(output_parameters.MEMBER))

    def check_property(self, step: Step, path: Path, where: str) -> None:
        """Allow only declared outputs."""
        output_parameters.check_property(step, path, where)

    def unsupported_here(self, step: Step, checks: RequestChecks) -> Iterator[str]:
        """Yield a message if this server does not know the function."""
        arn = step.members["FunctionArn"]
        if isinstance(arn, str) and (refusal := checks.functions.refusal(arn)) is not None:
            yield refusal

    def run(self, run: StepRun) -> None:
        """Store the call, which starts after the commit."""
        value = run.resolve(run.step.members["FunctionArn"])
        try:
            arn = _checked_arn(run.step.name, value)
        except Problem as problem:
            run.fail(f"ClientError: {problem}")
            return
        if (refusal := run.checks.functions.refusal(arn)) is not None:
            run.fail(f"ClientError: {refusal}")
            return
        run.call_function(arn, dumps(run.resolve_arguments()), metadata={self.name: {"Arn": arn}})


def finish(connection: sqlite3.Connection, row: sqlite3.Row, step: Step, arn: str, outcome: Outcome) -> None:
    """End the step of a call that has ended."""
    failure = outcome.failure
    values: dict[str, TypedValue] = {}
    if failure is None:
        try:
            values = _outputs(step, outcome.value)
        except Problem as problem:
            failure = str(problem)
    columns: dict[str, SqlValue] = {"ended": now()}
    if failure is not None:
        reason = f"ClientError: Lambda function {arn} failed: {failure}"
        columns |= {"status": "Failed", "failure_reason": reason[:REASON_LENGTH]}
    else:
        metadata = {"Arn": arn, output_parameters.MEMBER: output_parameters.as_members(values)}
        properties = {output_parameters.MEMBER: values}
        columns |= {
            "status": "Succeeded", "metadata": dumps({LambdaStep.name: metadata}), "properties": dumps(properties),
        }  # fmt: skip
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE steps SET {names} WHERE seq = ?", (*columns.values(), row["seq"]))  # noqa: S608


def _outputs(step: Step, value: object) -> dict[str, TypedValue]:
    declared = output_parameters.declared_names(step)
    if not declared:
        return {}
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise Problem(f"the step declares {output_parameters.MEMBER}, so it must return an object, found {kind}")
    given = {name: as_text(value[name]) for name in declared if value.get(name) is not None}
    return output_parameters.typed(step, given)


def _checked_arn(step: str, arn: object) -> str:
    if not isinstance(arn, str) or not FUNCTION_ARN.fullmatch(arn):
        raise Problem(
            f"FunctionArn of step '{step}' must be an ARN such as"
            f" arn:aws:lambda:us-east-1:123456789012:function:my-function, found {str(arn)[:100]!r}"
        )
    return arn
