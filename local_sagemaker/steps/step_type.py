"""The interface of step types, for the definition's checks and the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from local_sagemaker.expressions.problem import Problem
from local_sagemaker.requests.checks import RequestChecks
from local_sagemaker.steps.step import Arguments, Step
from local_sagemaker.steps.step_run import StepRun
from local_sagemaker.types import JsonMapping

Path = tuple[str | int, ...]


class StepType(ABC):
    """A step type: what it contains, which properties it has, and what it does."""

    name: str
    """The `Type` in a definition."""
    creates: str | None
    """The action whose request the arguments are, if any."""
    branches: ClassVar[Mapping[str, bool]] = {}
    """Arguments with steps, and the outcome for which these run."""
    may_be_needed: ClassVar[bool] = True
    """Whether other steps may depend on it."""
    members: ClassVar[frozenset[str]] = frozenset()
    """Members that only this step type has."""
    takes_cache_config: ClassVar[bool] = False
    """Whether a step may have CacheConfig."""
    max_seconds: ClassVar[float | None] = None
    """The maximum duration of an attempt without a job."""

    def own_arguments(self, arguments: Arguments) -> Arguments:
        """The arguments without the steps inside them."""
        return {key: value for key, value in arguments.items() if key not in self.branches}

    @abstractmethod
    def check_arguments(self, step: str, arguments: Arguments) -> None:
        """Check the arguments of a step, except expressions; raises Problem."""

    def check_parameters(self, arguments: Arguments, types: Mapping[str, str]) -> None:  # noqa: B027
        """Check the types of the pipeline parameters that the arguments use; raises AssignmentProblem."""

    def check_members(self, step: str, members: JsonMapping) -> None:  # noqa: B027
        """Check the values of `members`, except expressions; raises Problem."""

    def unsupported_here(self, step: Step, checks: RequestChecks) -> Iterable[str]:
        """Messages about parts of a step that this server does not support with its options."""
        return ()

    def check_property(self, step: Step, path: Path, where: str) -> None:
        """Check that a step of this type has a property; raises Problem."""
        raise Problem(f"{where} names a property of a {self.name} step, which has none")

    @abstractmethod
    def run(self, run: StepRun) -> None:
        """Run the step, or store its failure; raises UnresolvedError if a value is missing."""

    def stop(self, run: StepRun) -> None:  # noqa: B027
        """Called when the execution stops during an attempt without a job; the step ends when the attempt ends."""
