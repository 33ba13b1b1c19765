"""A failed job's FailureReason in the service's format, with at most 1,024 characters."""

from __future__ import annotations

import re
from collections.abc import Sequence

LIMIT = 1024
_DRIVER_NOISE = re.compile(
    r"^\+|^An error occurred with exit code|^Running .* [Dd]river$|^Executing command:|^Setting up environment|"
    r"^Training Container Execution"
)
_DRIVER_STARTS = "Executing command:"
"""The drivers' last lines before the program's output; the lines above are their copy of the environment."""
_DRIVER_TRACEBACK = "Command failed with exit code"
_DRIVER_FAILURES = ("subprocess.CalledProcessError", "Training Execution failed. For more details")


def algorithm_error(said: str, tail: Sequence[str], exit_code: int) -> str:
    """Compose the FailureReason from the failure file, and from the log's tail if the file does not say why.

    `said` is the file's text; processing jobs have no such file. The SDK's drivers write only that a command failed;
    the traceback of the user's program is only in the log.
    """
    from_driver = any(mark in said for mark in _DRIVER_FAILURES)
    if from_driver:
        said = ""
    explanation = user_tail(tail) if not said else ""
    head, end = "AlgorithmError: ", f", exit code: {exit_code}"
    room = LIMIT - len(head) - len(end)
    said = said.strip()[: room if not explanation else 200]
    if explanation:
        separator = "\n" if said else ""
        explanation = separator + explanation[-(room - len(said) - len(separator)) :]
    return head + said + explanation + end


def user_tail(tail: Sequence[str]) -> str:
    """The last traceback of the user's program, or its last lines."""
    lines: list[str] = []
    begun = max((number for number, line in enumerate(tail, 1) if line.startswith(_DRIVER_STARTS)), default=0)
    for line in tail[begun:]:
        if line.startswith(_DRIVER_TRACEBACK):
            break
        if not _DRIVER_NOISE.match(line):
            lines.append(line.rstrip())
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    chosen = lines[starts[-1] :] if starts and len(lines) - starts[-1] < 60 else lines[-20:]
    return "\n".join(line for line in chosen if line)
