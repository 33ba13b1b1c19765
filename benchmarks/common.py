"""Code that the benchmarks share. Each result contains machine, versions, command and date in addition to its figures.

A benchmark is a folder with an executable `run [--quick]`. It prints one JSON object and, without `--quick`, stores it
in `last.json` in its folder. It runs in the project's Python (`project_environment`).
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import psutil

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]
TERMINATE_SECONDS = 12.0


def machine() -> dict[str, Any]:
    """Return processor, usable cores, memory in GiB and operating system, but no host name."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": round(memory, 1), "os": platform.system()}


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the installed version of each package, "absent" if it is not installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def arguments(
    description: str,
    parts: Sequence[str] = (),
    minutes: float | None = None,
    flags: Mapping[str, str] | None = None,
) -> argparse.Namespace:
    """Parse the arguments of all benchmarks: `--quick` for a small run whose result is not stored.

    A long benchmark has `parts`: `--only PART` measures one, which a later run adds to its result (see Kept). One with
    a configurable duration sets `minutes`, the default. From now on, SIGTERM ends the benchmark and all processes that
    it has started, as Ctrl-C does.
    """
    parser = argparse.ArgumentParser(description=description)
    if parts:
        parser.add_argument("--only", choices=parts, help="measure this part and keep it for a later full run")
    if minutes is not None:
        parser.add_argument("--minutes", type=float, default=minutes, help=f"how long to run (default {minutes:g})")
    for flag, text in (flags or {}).items():
        parser.add_argument(f"--{flag}", action="store_true", help=text)
    parser.add_argument("--quick", action="store_true", help="a small run; its result is printed and not kept")
    told = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    atexit.register(_end_descendants)
    return told


def _leave(number: int, _frame: FrameType | None) -> None:
    """Exit through all `with` and `finally` blocks, which end what they started; ignore further signals."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _end_descendants() -> None:
    """Send SIGTERM, then SIGKILL, to processes that no `with` block has ended."""
    left = psutil.Process().children(recursive=True)
    for act in (psutil.Process.terminate, psutil.Process.kill):
        for process in left:
            try:
                act(process)
            except psutil.NoSuchProcess:
                continue
        _gone, left = psutil.wait_procs(left, timeout=TERMINATE_SECONDS)


class Kept:
    """Measurements of a long benchmark, stored in `partial.jsonl` one by one, so that a later run continues."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self._file = None if quick else folder / "partial.jsonl"
        lines = self._file.read_text().splitlines() if self._file and self._file.exists() else []
        self._known = dict(json.loads(line) for line in lines)

    def get(self, key: str, measure: Callable[[], T]) -> T:
        """Return the stored measurement, or measure and store it."""
        if key not in self._known:
            self._known[key] = measure()
            if self._file:
                with self._file.open("a") as stream:
                    stream.write(json.dumps([key, self._known[key]]) + "\n")
        found: T = self._known[key]
        return found

    def known(self, key: str) -> dict[str, Any] | None:
        """Return the stored measurement, None without one."""
        return self._known.get(key)

    def forget(self) -> None:
        """Remove the file, after its figures were published."""
        if self._file:
            self._file.unlink(missing_ok=True)


def publish(folder: Path, figures: Mapping[str, Any], *, packages: Sequence[str], quick: bool) -> None:
    """Print the result as one JSON object, and store it as `last.json` in `folder` unless it was a quick run."""
    command = f"benchmarks/{folder.name}/run" + (" --quick" if quick else "")
    result = {
        "benchmark": folder.name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": command,
        "machine": machine(),
        "versions": versions(packages),
        **figures,
    }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    if not quick:
        (folder / "last.json").write_text(text + "\n")
