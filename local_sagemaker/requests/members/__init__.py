"""Every member of every request that this server answers, and what becomes of it.

A member is *done*, *kept* (written down and given back by Describe, with all below it), *without effect*, or *refused*
by name. What the tables do not have is refused, so that a newer model of the service cannot add a member that is
silently ignored; a test holds them against botocore's model, and docs/fidelity.md lists what they say.
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
"""By action; a step's arguments are the request of the action that the step calls."""


def unsupported_members(operation: str, request: Request) -> Iterator[str]:
    """Yield a sentence for each member of a request that is refused; expressions that have no value yet are let by."""
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
