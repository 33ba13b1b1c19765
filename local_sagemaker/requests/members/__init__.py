"""The handling of each member of each supported request.

A member is *done*, *kept* (stored and returned by Describe, with everything below it), *without effect*, or *refused*
by name. A member that is not in the tables is rejected, so that one from a newer model of the service is not silently
ignored. A test compares the tables with botocore's model, and docs/fidelity.md lists their content.
"""

from __future__ import annotations

from collections.abc import Iterator

from local_sagemaker.expressions.values import is_expression
from local_sagemaker.requests.members.declaration import Members
from local_sagemaker.requests.members.jobs import JOBS
from local_sagemaker.requests.members.logs import LOGS
from local_sagemaker.requests.members.models import MODELS
from local_sagemaker.requests.members.pipelines import PIPELINES
from local_sagemaker.requests.members.search import SEARCH
from local_sagemaker.requests.members.tunings import TUNINGS
from local_sagemaker.types import JsonMapping, Request

MEMBERS: dict[str, Members] = {**JOBS, **TUNINGS, **SEARCH, **PIPELINES, **MODELS, **LOGS}
"""By action; a step's arguments are checked as the request of the step's action."""


def unsupported_members(operation: str, request: Request) -> Iterator[str]:
    """Yield a message for each unsupported member of a request; expressions are skipped."""
    yield from _unsupported(MEMBERS.get(operation, Members()), request, "", "")


def _unsupported(members: Members, value: JsonMapping, path: str, shown: str) -> Iterator[str]:
    for name, item in value.items():
        here, seen = (f"{path}.{name}", f"{shown}.{name}") if path else (name, name)
        if not item or is_expression(item) or here in members.leaves:
            continue
        if here in members.refused:
            yield f"{seen} is not supported by the local SageMaker: {members.refused[here]}"
        elif here not in members.structures:
            yield f"{seen} is not supported by the local SageMaker: it is newer than this server"
        elif isinstance(item, dict):
            yield from _unsupported(members, item, here, seen)
        elif isinstance(item, list):
            for number, part in enumerate(item):
                if isinstance(part, dict) and not is_expression(part):
                    yield from _unsupported(members, part, f"{here}[]", f"{seen}[{number}]")
