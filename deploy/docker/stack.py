"""Shared by the images' scripts: an error that is printed as one line instead of a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class StackError(Exception):
    """The stack cannot start. The message says what was found and what to do."""


def require(name: str, hint: str = "run bin/make-env") -> str:
    """The value of the environment variable `name`; StackError if it is missing or empty."""
    value = os.environ.get(name, "")
    if not value:
        raise StackError(f"{name} is not set: {hint}")
    return value


def run(main: Callable[[], None]) -> None:
    """Call `main`; print a StackError as one line on stderr, and exit with status 1."""
    try:
        main()
    except StackError as error:
        sys.exit(f"stack: {error}")
