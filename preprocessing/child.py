"""Run the program in a child process, from a process that must not load Polars.

Airflow's LocalExecutor forks task processes from the scheduler. Thread pools like Polars' do not survive a fork: the
first query would hang. A new interpreter does not have this problem, and returns its memory when it ends.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from preprocessing.errors import ChecksError, MissingDataError, PreprocessingError
from preprocessing.json_types import JsonObject

UNUSABLE = 3
"""Exit status: the data or the partition cannot be used."""
MISSING = 4
"""Exit status: raw dates of the window are missing."""
PARENT = "PREPROCESSING_PARENT"
"""Environment variable: id of the process that the program must not outlive."""
ROOT = Path(__file__).resolve().parents[1]

_PR_SET_PDEATHSIG = 1


class ChildError(Exception):
    """The program failed for a reason that a retry may fix; the message contains the last line of its output."""


def run(arguments: Sequence[str], *, env: Mapping[str, str], log: logging.Logger) -> JsonObject:
    """Run `python -m preprocessing` with these arguments and return its result; its log lines go to `log` at once.

    `env` is the complete environment: put secrets here, never in the arguments. Raises MissingDataError for missing raw
    dates, PreprocessingError for other data that cannot be used, and ChildError for anything else. The child ends with
    this call, and when this process dies.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [env.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "preprocessing", *arguments],
        env={**env, "PYTHONPATH": path, PARENT: str(os.getpid())},
        # A task's standard input is the socket to its supervisor, which must not be inherited.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    last: list[str] = []
    reader = threading.Thread(target=_forward, args=(process, log, last), daemon=True)
    reader.start()
    try:
        output = process.stdout.read() if process.stdout else ""
        status = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join()
    if status == MISSING:
        raise MissingDataError(last[-1] if last else "raw dates are missing")
    if status == UNUSABLE and output:
        raise ChecksError(last[-1] if last else "data checks failed", json.loads(output.splitlines()[-1])["checks"])
    if status == UNUSABLE:
        raise PreprocessingError(last[-1] if last else "the data cannot be used")
    if status != 0:
        ending = f"signal {-status}" if status < 0 else f"status {status}"
        raise ChildError(f"preprocessing ended with {ending}: {last[-1] if last else 'it printed nothing'}")
    result: JsonObject = json.loads(output.splitlines()[-1])
    return result


def _forward(process: subprocess.Popen[str], log: logging.Logger, last: list[str]) -> None:
    for line in process.stderr or ():
        if line.strip():
            log.info("%s", line.rstrip())
            last[:] = [line.strip()]


def die_with_parent() -> None:
    """Ask Linux to kill this process when the parent named in PARENT dies; do nothing without PARENT or elsewhere."""
    parent = os.environ.get(PARENT)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before the line above
        os._exit(1)
