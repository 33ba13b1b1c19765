"""The error of the stack's scripts."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot start or continue. The message says what was found and what to do; no traceback is shown."""
