"""Everything that is known to be wrong with a request before it is acted upon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local_sagemaker.requests.images import Images
from local_sagemaker.requests.job_rules import find_unsupported, waiting_time_problems


def refusals(operation: str, request: dict[str, Any]) -> list[str]:
    """What of a request is not supported here, or breaks a rule that the model does not have; a sentence each.

    The request may be a step's arguments: expressions that have no value yet are left alone.
    """
    found = [str(item) for item in find_unsupported(operation, request)]
    if operation == "CreateTrainingJob":
        found += waiting_time_problems(request)
    return found


@dataclass(frozen=True)
class RequestChecks:
    """The checks that depend on how the server was started."""

    images: Images

    def problems(self, operation: str, request: dict[str, Any]) -> list[str]:
        """What is wrong with a request whose values are all known; a sentence each."""
        return [*refusals(operation, request), *self.images.refusals(operation, request)]
