"""A host of a job from the server's side: its folder, its runner process, and the runner's messages."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from local_sagemaker.jobs.host.runner.messages import HostConfig, Message

log = logging.getLogger(__name__)

RUNNER = Path(__file__).with_name("runner") / "main.py"
_RUNNER_EXIT_SECONDS = 10


@dataclass(frozen=True)
class Isolation:
    """How a job gets its own /opt/ml on this machine."""

    mount: bool
    """True: with a private mount namespace. False: /opt/ml is replaced in the staged text files."""
    pid_namespace: bool
    """True: the kernel kills all processes of a host when its first process ends."""

    def __str__(self) -> str:
        if not self.mount:
            return "rewriting /opt/ml in the job's code, since mounting is denied"
        return "a private mount of /opt/ml" + (" and a PID namespace" if self.pid_namespace else "")


NO_ISOLATION = Isolation(mount=False, pid_namespace=False)


def probe_isolation() -> Isolation:
    """Find out what works on this machine by mounting in a child process."""
    command = [sys.executable, "-I", "-S", str(RUNNER), "--probe"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20, check=True
        )
        return Isolation(**json.loads(answer.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError) as error:
        log.warning("probing the mount failed, /opt/ml will be rewritten: %s", error)
        return NO_ISOLATION


@dataclass(frozen=True)
class HostLayout:
    """The files of a host below the job's folder."""

    root: Path

    @property
    def ml(self) -> Path:
        """The folder that the job sees as /opt/ml."""
        return self.root / "ml"

    @property
    def log_file(self) -> Path:
        """Standard output and error, up to the size limit."""
        return self.root / "output.log"

    @property
    def metrics_file(self) -> Path:
        """The time series: one JSON object {"name", "value", "ms"} per line."""
        return self.root / "metrics.jsonl"


@dataclass(frozen=True)
class HostExit:
    """How a host ended."""

    code: int
    """The exit status as in a shell: 128 + n for signal n."""
    reason: str | None
    """Why the runner ended the host, if it did."""
    tail: list[str]
    """The last lines of output."""


class HostRun:
    """A running host. Create it in the job's thread: the runner dies with the thread that started it."""

    def __init__(self, config: HostConfig, folder: Path, on_message: Callable[[HostRun, Message], None]) -> None:
        self.config = config
        self.exit: HostExit | None = None
        self._on_message = on_message
        path = folder / "runner.json"
        path.touch(0o600)
        path.write_text(json.dumps(asdict(config)))
        with (folder / "runner.log").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(RUNNER), str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, name=f"reader-{config.host}", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether any process of the host may still be running."""
        return self.exit is None

    def terminate(self) -> None:
        """Send SIGTERM to the first process of the host's container."""
        self._command(b"term\n")

    def kill(self) -> None:
        """Kill all of the host's processes."""
        self._command(b"kill\n")

    def destroy(self) -> None:
        """Kill a runner that does not respond; the kernel and the first process end the rest."""
        self._process.kill()

    def close(self) -> None:
        """End the remaining processes and wait for them."""
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_RUNNER_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_RUNNER_EXIT_SECONDS)

    def _command(self, line: bytes) -> None:
        try:
            if self._process.stdin and not self._process.stdin.closed:
                self._process.stdin.write(line)
                self._process.stdin.flush()
        except OSError:
            return

    def _read(self) -> None:
        """Pass on the runner's messages; the last one is always the host's end."""
        ended = HostExit(137, None, [])
        try:
            for line in self._process.stdout or ():
                message: Message = json.loads(line)
                if "error" in message:
                    reason = f"the host could not be started: {message['error']}"
                    ended = HostExit(127, reason, message.get("tail", []))
                elif "exit" in message:
                    ended = HostExit(_exit_code(message["exit"]), message["reason"], message["tail"])
                else:
                    self._on_message(self, message)
        except Exception as error:
            log.exception("reading the runner of %s", self.config.host)
            ended = HostExit(137, f"InternalServerError: the output could not be read: {error}", [])
            self.kill()
        finally:
            self.exit = ended
            self._on_message(self, {"ended": True})


def _exit_code(status: int | None) -> int:
    if status is None:
        return 137
    if status & 0x7F:
        return 128 + (status & 0x7F)
    return status >> 8
