"""Running commands and saying so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STARTED = time.monotonic()


class TrialError(Exception):
    """The stack did not do what it should; the text says what was expected and what came."""


def say(text: str) -> None:
    """One line of progress with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:6.0f} s] {text}", flush=True)


def call(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    stdin: Path | None = None,
) -> tuple[int, str]:
    """Run `command`; exit status and all it wrote. With `check`, a failure is a TrialError with the output's end."""
    with (stdin or Path(os.devnull)).open("rb") as source:
        done = subprocess.run(
            [str(part) for part in command],
            env={**os.environ, **(env or {})},
            cwd=ROOT,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    text = done.stdout.decode(errors="replace")
    if check and done.returncode != 0:
        raise TrialError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{text[-4000:]}")
    return done.returncode, text


def wait_until(ready: object, what: str, seconds: float) -> None:
    """Poll the callable `ready` until it is true; TrialError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TrialError(f"not within {seconds:.0f} s: {what}")
        time.sleep(1)


def complain(text: str) -> None:
    """To standard error."""
    print(text, file=sys.stderr, flush=True)
