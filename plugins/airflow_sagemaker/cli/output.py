"""The command line's output: results on standard output, the rest on standard error, colours on a terminal only."""

from __future__ import annotations

import json
import os
import sys
from typing import TextIO

from airflow_sagemaker.types import JsonObject

_COLOURS = {"error": "\033[31m", "warning": "\033[33m", "added": "\033[32m", "removed": "\033[31m", "strong": "\033[1m"}


class Interrupted(KeyboardInterrupt):
    """The user has interrupted the command; `execution_arn` keeps running, if known."""

    def __init__(self, message: str, execution_arn: str | None = None) -> None:
        super().__init__(message)
        self.execution_arn = execution_arn


class Output:
    """With `json_only`, standard output gets one JSON object; progress is still written to standard error."""

    def __init__(self, *, json_only: bool) -> None:
        self.json_only = json_only

    def result(self, data: JsonObject, text: str = "") -> None:
        """Print the command's result: as JSON, or as text for people."""
        if self.json_only:
            sys.stdout.write(json.dumps(data, indent=2, sort_keys=True, default=str) + "\n")
        elif text:
            sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()

    def note(self, text: str, kind: str = "") -> None:
        """Report progress."""
        sys.stderr.write(paint_text(text, kind, sys.stderr) + "\n")
        sys.stderr.flush()

    def failed(self, error: BaseException, hint: str = "", **details: object) -> None:
        """Report why the command failed, and what to check."""
        text = f"{error} ({hint})" if hint else str(error)
        if self.json_only:
            self.result({"ok": False, "error": type(error).__name__, "message": text, **details})
        else:
            self.note(text, "error")

    # The AWS layer logs with these methods, as with a task's logger in Airflow.
    def debug(self, text: str, *arguments: object) -> None:
        """Ignored."""

    def info(self, text: str, *arguments: object) -> None:
        """Say it."""
        self.note(text % arguments if arguments else text)

    def warning(self, text: str, *arguments: object) -> None:
        """Say it as a warning."""
        self.note(text % arguments if arguments else text, "warning")

    def error(self, text: str, *arguments: object) -> None:
        """Say it as an error."""
        self.note(text % arguments if arguments else text, "error")

    def exception(self, text: str, *arguments: object) -> None:
        """Report an error without a traceback."""
        self.note(text % arguments if arguments else text, "error")


def paint_text(text: str, kind: str, stream: TextIO) -> str:
    """Return the text in the colour of its kind if the stream is a terminal with colours."""
    plain = not kind or not stream.isatty() or "NO_COLOR" in os.environ
    return text if plain else f"{_COLOURS[kind]}{text}\033[0m"
