"""What is wrong with a definition or its parameters."""

from __future__ import annotations


class Problem(Exception):
    """One sentence that names the offending member."""
