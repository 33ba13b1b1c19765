"""What is wrong with a definition or its parameters."""

from __future__ import annotations


class Problem(Exception):
    """One sentence that names the offending member."""


class AssignmentProblem(Problem):
    """A parameter of the wrong type; the service says this one without an introduction."""
