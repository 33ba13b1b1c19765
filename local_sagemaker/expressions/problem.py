"""What is wrong with a definition, an expression or a parameter."""

from __future__ import annotations

from collections.abc import Collection

from local_sagemaker.types import JsonMapping


class Problem(Exception):
    """One sentence that names the offending member."""


class AssignmentProblem(Problem):
    """A parameter of the wrong type; the service says this one without an introduction."""


def check_members(document: JsonMapping, known: Collection[str], where: str) -> None:
    """Raise Problem naming a member that is not known."""
    unknown = sorted(set(document) - set(known))
    if unknown:
        raise Problem(f"{where} has the unknown member '{unknown[0][:200]}'")
