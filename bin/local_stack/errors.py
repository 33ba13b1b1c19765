"""What can keep the stack from running, as one line each."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot start or go on. The text says what was found and what to do; it is shown without a traceback."""
