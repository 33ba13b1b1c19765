"""All checks of a request before it is executed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from local_sagemaker import service_model
from local_sagemaker.identifiers import current_region
from local_sagemaker.requests import tuning
from local_sagemaker.requests.functions import KnownFunctions
from local_sagemaker.requests.images import Images
from local_sagemaker.requests.instances import Capacity
from local_sagemaker.requests.job_rules import broken_rules, unsupported_values
from local_sagemaker.requests.members import unsupported_members
from local_sagemaker.requests.s3_sources import missing_sources
from local_sagemaker.requests.toolkit import TrainingToolkit
from local_sagemaker.types import Request


def refusals(operation: str, request: Request) -> list[str]:
    """Messages about a request's unsupported members and values, and about rules that the model does not have.

    The request may be a step's arguments: expressions are skipped.
    """
    return [
        *unsupported_members(operation, request),
        *unsupported_values(operation, request),
        *broken_rules(operation, request),
    ]


@dataclass(frozen=True)
class RequestChecks:
    """The checks that depend on the server's options and on S3."""

    s3_dir: Path
    images: Images = field(default_factory=Images)
    capacity: Capacity = field(default_factory=Capacity)
    functions: KnownFunctions = field(default_factory=KnownFunctions)
    toolkit: TrainingToolkit = field(default_factory=lambda: TrainingToolkit(sys.executable))

    def unsupported_here(self, operation: str, request: Request) -> list[str]:
        """Messages about what this server does not support with its options."""
        if operation == tuning.CREATE:
            found = self.unsupported_here("CreateTrainingJob", tuning.training_definition(request) or {})
            return [f"TrainingJobDefinition.{text}" for text in found]
        return [*self.images.refusals(operation, request), *self.toolkit.refusals(operation, request)]

    def problems(self, operation: str, request: Request) -> list[str]:
        """Messages about all problems of a request without expressions."""
        found = [*refusals(operation, request), *self.unsupported_here(operation, request)]
        if operation == tuning.CREATE:
            return found or self._problems_of_trials(request)
        return [*found, *missing_sources(operation, request, self.s3_dir, current_region())]

    def _problems_of_trials(self, request: Request) -> list[str]:
        example = tuning.example_training_request(request)
        broken = list(service_model.violations(service_model.input_shape("CreateTrainingJob"), example))
        return broken or list(missing_sources("CreateTrainingJob", example, self.s3_dir, current_region()))
