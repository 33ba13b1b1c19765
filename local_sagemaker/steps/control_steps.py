"""Steps that create nothing: Condition and Fail."""

from __future__ import annotations

from typing import ClassVar

from local_sagemaker.expressions.conditions import check_condition, evaluate
from local_sagemaker.expressions.problem import Problem, check_members
from local_sagemaker.expressions.values import as_text, is_expression
from local_sagemaker.steps.step import Arguments, Step
from local_sagemaker.steps.step_run import StepRun
from local_sagemaker.steps.step_type import Path, StepType

_MESSAGE_LENGTH = 3072


class ConditionStep(StepType):
    """Chooses the steps of one branch."""

    name = "Condition"
    creates = None
    branches: ClassVar = {"IfSteps": True, "ElseSteps": False}

    def check_arguments(self, step: str, arguments: Arguments) -> None:
        """Check the conditions; the steps in the branches are checked as steps."""
        check_members(arguments, {"Conditions", *self.branches}, f"Arguments object of step '{step}'")
        conditions = arguments.get("Conditions")
        if not isinstance(conditions, list) or not conditions:
            raise Problem(f"Conditions of step '{step}' must be a list with at least one condition")
        for condition in conditions:
            check_condition(condition, f"step '{step}'")

    def check_property(self, step: Step, path: Path, where: str) -> None:
        """Allow only Outcome."""
        if path != ("Outcome",):
            raise Problem(f"{where} names a property that a Condition step does not have; it has only Outcome")

    def run(self, run: StepRun) -> None:
        """Evaluate the conditions, all of which must be true."""
        outcome = all(evaluate(condition, run.values) for condition in run.step.arguments["Conditions"])
        metadata = {"Condition": {"Outcome": "True" if outcome else "False"}}
        run.succeed(metadata=metadata, properties={"Outcome": outcome})


class FailStep(StepType):
    """Ends the execution as Failed."""

    name = "Fail"
    creates = None
    may_be_needed: ClassVar = False

    def check_arguments(self, step: str, arguments: Arguments) -> None:
        """Check the message."""
        check_members(arguments, {"ErrorMessage"}, f"Arguments object of step '{step}'")
        if not isinstance(arguments.get("ErrorMessage", ""), str) and not is_expression(arguments["ErrorMessage"]):
            raise Problem(f"ErrorMessage of step '{step}' must be a string")

    def run(self, run: StepRun) -> None:
        """Fail with the message, which is also the step's metadata."""
        message = as_text(run.resolve(run.step.arguments.get("ErrorMessage", "")))[:_MESSAGE_LENGTH]
        run.fail(message, metadata={"Fail": {"ErrorMessage": message}})
