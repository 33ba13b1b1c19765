"""Errors in a definition, an expression or a parameter."""

from __future__ import annotations

from collections.abc import Collection

from local_sagemaker.types import JsonMapping


class Problem(Exception):
    """An error in a definition; the message names the invalid member."""


class AssignmentProblem(Problem):
    """A parameter of the wrong type; the service returns this message without the usual introduction."""


def check_members(document: JsonMapping, known: Collection[str], where: str) -> None:
    """Raise Problem for an unknown member."""
    unknown = sorted(set(document) - set(known))
    if unknown:
        raise Problem(f"{where} has the unknown member '{unknown[0][:200]}'")
