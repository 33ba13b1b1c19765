"""Runs the user's program in the container instead of the SDK's `execute_commands`; shipped, never imported here.

The SDK's version ends every failure with its own traceback, which contains only the command and becomes the job's
FailureReason. Here, the reason is the program's exception, or the signal that ended it with its last lines. It needs
only Python's standard library.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path

TAIL_LINES = 400
REASON_LINES = 10
REASON_CHARACTERS = 1024  # CreateTrainingJob: of FailureReason
LAUNCHER = re.compile(r"torch/distributed/elastic/|torch\.distributed\.elastic\.")
STOPPED = (-signal.SIGTERM, 128 + signal.SIGTERM)  # the signal itself, and the exit code of a program that handles it
TRACEBACK = "Traceback (most recent call last):"


def execute_commands(commands: list[str]) -> tuple[int, str]:
    """Run a command and forward its output line by line; return its exit code and the reason of a failure.

    SIGTERM is forwarded: SageMaker sends it to the container's first process before a spot interruption or a stop.
    """
    process = subprocess.Popen(commands, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    assert process.stdout  # noqa: S101 - it is a pipe
    with process.stdout:
        for line in iter(process.stdout.readline, b""):
            text = line.decode("utf-8", "replace").rstrip()
            tail.append(text)
            print(text, flush=True)
    code = process.wait()
    if code == 0:
        return 0, ""
    if code in STOPPED:
        return 128 + signal.SIGTERM, "the program was stopped by SIGTERM"
    reason = read_failure_file() or explain_exit(code, list(tail))
    if reason.splitlines()[0] not in "".join(list(tail)[-1:]):
        print(f"Training failed: {reason}", flush=True)
    return code if code > 0 else 128 - code, reason


def read_failure_file() -> str:
    """Return the reason that the program itself has written."""
    try:
        path = Path(os.environ.get("SM_OUTPUT_FAILURE", "/opt/ml/output/failure"))
        return "" if path.is_symlink() else path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def explain_exit(code: int, tail: list[str]) -> str:
    """Return the exception of the program's last traceback, or how it ended and its last lines."""
    launcher = next((number for number, line in enumerate(tail) if LAUNCHER.search(line)), len(tail))
    told = "\n".join(tail[launcher:])
    # torchrun prints the exit code of the process that failed; its own is always 1.
    child = re.search(r"exitcode: (-?\d+)", told)
    code = int(child.group(1)) if child else code
    lines = [line for line in tail[:launcher] if line]
    starts = [number for number, line in enumerate(lines) if line.endswith(TRACEBACK)]
    if code > 0 and starts:
        return last_exception(lines[starts[-1] + 1 :])[:REASON_CHARACTERS]
    how = f"exit code {code}" if code > 0 else signal_name(-code)
    last = "\n".join(lines[-REASON_LINES:])
    head = (
        f"the program ended with {how} and wrote nothing"
        if not last
        else f"the program ended with {how}. Its last lines:\n"
    )
    return head + last[-(REASON_CHARACTERS - len(head)) :] if last else head


def last_exception(lines: list[str]) -> str:
    """Return the message of a traceback, and the location of the innermost frame."""
    place = ""
    for number, line in enumerate(lines):
        frame = re.match(r'\s+File "(.*)", line (\d+)', line)
        if frame:
            place = f" ({Path(frame.group(1)).name}, line {frame.group(2)})"
        elif line[:1] not in ("", " ", "\t"):
            return "\n".join([line + place, *lines[number + 1 : number + 5]])
    return "\n".join(lines[-REASON_LINES:])


def signal_name(number: int) -> str:
    """Describe a signal."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name} (often: out of memory)" if name == "SIGKILL" else name


if __name__ == "__main__":
    sys.exit(execute_commands(sys.argv[1:])[0])
