"""What every type of step offers to the definition's checks and to the engine."""

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
    """What a type of step may hold, what others may ask of it, and what it does."""

    name: str
    """As in a definition's `Type`."""
    creates: str | None
    """The action whose request its arguments are, if there is one."""
    branches: ClassVar[Mapping[str, bool]] = {}
    """Arguments that hold steps, and the outcome for which those run."""
    may_be_needed: ClassVar[bool] = True
    """Whether other steps may depend on it."""
    members: ClassVar[frozenset[str]] = frozenset()
    """What a step of this type has beside what steps of all types have."""
    takes_cache_config: ClassVar[bool] = False
    """Whether a step may have CacheConfig."""
    max_seconds: ClassVar[float | None] = None
    """How long an attempt without a job may take."""

    def own_arguments(self, arguments: Arguments) -> Arguments:
        """The arguments without the steps inside them."""
        return {key: value for key, value in arguments.items() if key not in self.branches}

    @abstractmethod
    def check_arguments(self, step: str, arguments: Arguments) -> None:
        """Check the arguments of the step of that name, expressions left open; raises Problem."""

    def check_parameters(self, arguments: Arguments, types: Mapping[str, str]) -> None:  # noqa: B027
        """Check that pipeline parameters of these types fit where the arguments use them; raises AssignmentProblem."""

    def check_members(self, step: str, members: JsonMapping) -> None:  # noqa: B027
        """Check what the step of that name has of `members`, expressions left open; raises Problem."""

    def unsupported_here(self, step: Step, checks: RequestChecks) -> Iterable[str]:
        """What of a step does not run on this server as it was started; a sentence each."""
        return ()

    def check_property(self, step: Step, path: Path, where: str) -> None:
        """Check that a step of this type has such a property; raises Problem."""
        raise Problem(f"{where} names a property of a {self.name} step, which has none")

    @abstractmethod
    def run(self, run: StepRun) -> None:
        """Do what the step is for, or write down that it failed; raises UnresolvedError for a value that is missing."""

    def stop(self, run: StepRun) -> None:  # noqa: B027
        """The execution stops while an attempt without a job goes on; the step ends when the attempt does."""
