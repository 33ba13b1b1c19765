"""Calls a function in a separate process, limits its time and log, and returns its result."""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from local_sagemaker.jobs.clients import local_client
from local_sagemaker.jobs.logs import LogShipper
from local_sagemaker.types import BotoClient

log = logging.getLogger(__name__)

MAX_SECONDS = 600.0
"""The maximum duration of a call."""
MAX_RESULT = 6 * 2**20
"""Maximum bytes of a result (AWS Lambda's quota for synchronous invocations)."""
_MAX_LOG = 2**20
"""Maximum bytes of a call's output that are logged; the rest is discarded."""
_LINE = 2**15
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
"""Loaded before any fork: the loader's lock may be held by another thread, and then stays locked in the child."""
_CHILD = Path(__file__).with_name("child.py")


@dataclass(frozen=True)
class Outcome:
    """The result of a call: a JSON value, or the reason of its failure."""

    value: object = None
    failure: str | None = None
    timed_out: bool = False


class Functions:
    """The functions by ARN. `handlers` has "module:function"; imported from the server's working directory."""

    def __init__(
        self,
        handlers: Mapping[str, str],
        *,
        data_dir: Path,
        python: str,
        client_env: Mapping[str, str],
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        """`client_env` makes boto3 in the functions use this server."""
        self._handlers = dict(handlers)
        self._scratch = data_dir / "functions"
        self._python = python
        self._client_env = dict(client_env)
        self._max_seconds = max_seconds
        self._folder = Path.cwd()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    @cached_property
    def _logs(self) -> BotoClient:
        return local_client("logs", self._client_env, max_connections=32)

    def call(self, arn: str, event: str, request_id: str) -> Outcome:
        """Call a function with a JSON event, and wait for the result."""
        handler = self._handlers.get(arn)
        if handler is None:
            return Outcome(failure=f"the function {arn} is not known: serve --lambda '{arn}=module:function'")
        self._scratch.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._scratch) as name:
            event_path, result_path = Path(name, "event.json"), Path(name, "result.json")
            event_path.write_text(event)
            environment = self._environment(arn, request_id)
            try:
                process = subprocess.Popen(
                    [self._python, str(_CHILD), handler, str(event_path), str(result_path)],
                    cwd=self._folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, preexec_fn=_die_with_parent,  # noqa: PLW1509
                )  # fmt: skip
            except OSError as error:
                return Outcome(failure=f"its process cannot be started: {error}")
            with self._registered(process):
                in_time = self._wait(process, environment)
            if not in_time:
                return Outcome(failure=f"Task timed out after {self._max_seconds:.2f} seconds", timed_out=True)
            return _outcome(result_path, process.returncode)

    def shutdown(self) -> None:
        """Kill what runs, and what is still to be called as soon as it runs."""
        with self._lock:
            self._is_closed = True
            for process in self._running:
                _kill_session(process)

    @contextlib.contextmanager
    def _registered(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        with self._lock:
            self._running.add(process)
            if self._is_closed:
                _kill_session(process)
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(process)

    def _environment(self, arn: str, request_id: str) -> dict[str, str]:
        name, _, version = arn.split(":", 6)[6].partition(":")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "LOCAL_"))}
        return {
            **inherited,
            **self._client_env,
            "PYTHONUNBUFFERED": "1",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": version or "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d', time.gmtime())}/[$LATEST]{request_id}",
            "LOCAL_LAMBDA_ARN": arn,
            "LOCAL_LAMBDA_REQUEST_ID": request_id,
            "LOCAL_LAMBDA_SECONDS": str(self._max_seconds),
        }

    def _wait(self, process: subprocess.Popen[bytes], environment: Mapping[str, str]) -> bool:
        """Log the process's output until it ends; return whether that was in time. Kills its session's processes."""
        shipper = LogShipper(self._logs, environment["AWS_LAMBDA_LOG_GROUP_NAME"])
        assert process.stdout is not None  # noqa: S101
        arguments = (process.stdout, shipper, environment["AWS_LAMBDA_LOG_STREAM_NAME"])
        reader = threading.Thread(target=_ship, args=arguments, name="function-log", daemon=True)
        reader.start()
        try:
            process.wait(self._max_seconds)
            return True
        except subprocess.TimeoutExpired:
            return False
        finally:
            _kill_session(process)
            process.wait()
            reader.join(5)  # a process that left the session may keep the pipe open
            shipper.close()


def _die_with_parent() -> None:
    os.setsid()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _ship(stream: IO[bytes], shipper: LogShipper, name: str) -> None:
    left = _MAX_LOG
    while line := stream.readline(_LINE):
        if left <= 0:
            continue
        left -= len(line)
        text = line.decode("utf-8", "replace").rstrip("\n") if left > 0 else "(the rest of the log is not kept)"
        shipper.add(name, [(int(time.time() * 1000), text)])


def _outcome(path: Path, status: int) -> Outcome:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_RESULT + 1)
    except FileNotFoundError:
        return Outcome(failure=f"Runtime exited with status {status} and without a result")
    if len(content) > MAX_RESULT:
        return Outcome(failure=f"Response payload size exceeded maximum allowed payload size ({MAX_RESULT} bytes)")
    found = json.loads(content)
    if "errorType" in found:
        return Outcome(failure=f"{found['errorType']}: {found['errorMessage']}")
    return Outcome(value=found["value"])
