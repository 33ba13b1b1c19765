"""Steps whose arguments are the request of an action: they run a job or create a resource."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from local_sagemaker import service_model
from local_sagemaker.errors import ServiceError
from local_sagemaker.expressions.problem import AssignmentProblem, Problem
from local_sagemaker.expressions.values import is_expression
from local_sagemaker.identifiers import JOB_NAME_LENGTH, step_job_name
from local_sagemaker.requests.checks import RequestChecks, refusals
from local_sagemaker.steps import cache
from local_sagemaker.steps.step import Arguments, Step
from local_sagemaker.steps.step_run import StepRun
from local_sagemaker.steps.step_type import Path, StepType
from local_sagemaker.store import jobs as job_records
from local_sagemaker.store import tags as tag_records


@dataclass(frozen=True)
class RequestStep(StepType):
    """A step whose arguments are the request of an action."""

    name: str
    creates: str
    """The action whose request the arguments are."""
    name_member: str
    """The member that the service sets if the arguments omit it."""
    described_by: tuple[str, ...]
    """The actions whose responses are the step's properties."""

    def check_arguments(self, step: str, arguments: Arguments) -> None:
        """Check the arguments against the action's model, and for unsupported members.

        Patterns are checked only when the step starts: the service creates pipelines with the response type `*` and a
        local path as S3Uri (aws/sagemaker-python-sdk 2.257, tests/integ, test_model_create_and_registration.py).
        """
        complete = {self.name_member: "x", **arguments}
        shape = service_model.input_shape(self.creates)
        found = service_model.violations(shape, complete, is_open=lambda _shape, value: is_expression(value))
        broken = [text for text in found if not service_model.is_pattern_violation(text)]
        if broken:
            text = service_model.validation_text(broken)
            raise Problem(f"Model Validation failed: step '{step}', {self.creates}: {text}")
        refused = refusals(self.creates, arguments)
        if refused:
            raise Problem(f"Step '{step}': {'; '.join(refused)}")

    def check_parameters(self, arguments: Arguments, types: Mapping[str, str]) -> None:
        """Reject a parameter of another type where the action requires a string.

        The message is the service's (aws/sagemaker-python-sdk #4867). The SDK's `to_string()` turns a parameter into a
        Join.
        """

        def is_open(shape: service_model.Shape, value: object) -> bool:
            if not is_expression(value):
                return False
            name = str(value.get("Get", "")).removeprefix("Parameters.")
            if shape.type_name == "string" and f"Parameters.{name}" == value.get("Get") and types.get(name) != "String":
                raise AssignmentProblem(
                    f"Cannot assign property reference [Parameters.{name}] to argument of type [String]."
                )
            return True

        deque(service_model.violations(service_model.input_shape(self.creates), arguments, is_open=is_open), maxlen=0)

    def unsupported_here(self, step: Step, checks: RequestChecks) -> Iterable[str]:
        """Reject unsupported images, and jobs without a program."""
        return checks.unsupported_here(self.creates, step.arguments)

    def check_property(self, step: Step, path: Path, where: str) -> None:
        """Check a path against the response of the action that describes the step."""
        answers = [service_model.output_shape(action) for action in self.described_by]
        shapes = [shape for shape in answers if shape is not None]
        shape = next((shape for shape in shapes if path[0] in shape.members), shapes[0])
        for part in path:
            if shape.type_name == "structure" and isinstance(part, str) and part in shape.members:
                shape = shape.members[part]
            elif shape.type_name == "list":
                shape = shape.member
            elif shape.type_name == "map":
                shape = shape.value
            else:
                raise Problem(f"{where} names a property that does not exist: {shape.name} has no '{str(part)[:100]}'")

    def problems(self, run: StepRun, request: Arguments) -> str:
        """Check the request after all values are resolved; returns a message, empty if it is valid."""
        broken = list(service_model.violations(service_model.input_shape(self.creates), request))
        if broken:
            return service_model.validation_text(broken)
        return "; ".join(run.checks.problems(self.creates, request))


@dataclass(frozen=True)
class JobStep(RequestStep):
    """Runs a job, or uses an earlier result if caching is enabled."""

    takes_cache_config: ClassVar = True
    job: job_records.Kind
    cached_by: tuple[str, ...]
    """The members of the request in the cache key.

    Source: the developer guide, "Default cache key attributes by pipeline step type".
    """

    def run(self, run: StepRun) -> None:
        """Store the job, which is submitted after the commit."""
        request = self._request(run)
        problems = self.problems(run, request)
        if problems:
            run.fail_to_create(self.creates, problems)
            return
        key = self._cache_key(run, request)
        if key and run.take_cached(key):
            return
        job_records.check_name_is_free(run.connection, self.job, request[self.name_member])
        spec = job_records.insert(run.connection, self.job, request, run.checks.capacity, owner=run.execution["arn"])
        tag_records.write(run.connection, spec.arn, request.get("Tags") or [])
        run.submit_job(spec, metadata={self.job.step_member: {"Arn": spec.arn}}, cache_key=key)

    def _request(self, run: StepRun) -> Arguments:
        prefix = run.step.arguments.get(self.name_member)
        members = service_model.input_members(self.creates)
        most = min(int(members[self.name_member].metadata["max"]), JOB_NAME_LENGTH)
        name = step_job_name(run.execution["id"], run.step.name, prefix if isinstance(prefix, str) else None, most=most)
        given = run.resolve_arguments({self.name_member: name})
        role = {"RoleArn": run.execution["role_arn"]} if "RoleArn" in members else {}
        return {**role, **given, self.name_member: name}

    def _cache_key(self, run: StepRun, request: Arguments) -> str | None:
        if run.step.cache_days is None:
            return None
        compared = {member: request.get(member) for member in self.cached_by}
        return cache.key(run.execution["pipeline"], run.step.name, self.name, compared)


@dataclass(frozen=True)
class ResourceStep(RequestStep):
    """Creates a resource."""

    complete: Callable[[Arguments, Callable[[str | None], str]], Arguments]
    """Set names that the arguments omit. The second argument creates a name from an optional prefix."""
    create: Callable[[sqlite3.Connection, Arguments], tuple[str, Arguments]]
    """Create the resource; return its ARN and description. Raises ServiceError."""

    def run(self, run: StepRun) -> None:
        """Create the resource, or fail with the action's error."""

        def make_name(prefix: str | None) -> str:
            return step_job_name(run.execution["id"], run.step.name, prefix)

        request = self.complete(run.resolve_arguments(), make_name)
        problems = self.problems(run, request)
        if problems:
            run.fail_to_create(self.creates, problems)
            return
        try:
            arn, description = self.create(run.connection, request)
        except ServiceError as error:
            run.fail_to_create(self.creates, error.message)
        else:
            run.succeed(metadata={self.name: {"Arn": arn}}, properties=description)
