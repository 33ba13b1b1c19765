"""Runs the compile process, which inherits only what it needs and has a time limit; forwards its output."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from airflow_sagemaker.exceptions import CompileError, CompileTimeout, SdkNotAvailable
from airflow_sagemaker.types import JsonObject

log = logging.getLogger("airflow_sagemaker.definition.compiler")

OnChild = Callable[["subprocess.Popen[bytes]"], None]
# What a Python process needs to find libraries and certificates, without credentials, profiles or proxies.
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH", "TZ", "SYSTEMROOT")
_TELEMETRY_OFF = "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"
_GRACE_SECONDS = 5.0


def compile_in_child(
    request: JsonObject,
    folder: Path,
    *,
    python: str,
    modules: Iterable[str],
    timeout: float,
    on_child: OnChild | None,
) -> JsonObject:
    """Return the compile process's response. Raises CompileError, CompileTimeout or SdkNotAvailable.

    `folder` is empty and used by this call only. `modules` are importable names that the process may need besides this
    package. `on_child` is called with the process when it runs, so that the caller can end its group.
    """
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    process = subprocess.Popen(
        [python, "-m", "airflow_sagemaker.definition.sdk.child_main", str(folder), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=_child_environment(folder, _module_folder(folder, modules)),
        start_new_session=True,
        close_fds=True,
    )
    last_lines: deque[str] = deque(maxlen=30)
    reader = threading.Thread(target=_forward_output, args=(process, last_lines), name="compiler-log", daemon=True)
    reader.start()
    try:
        if on_child is not None:
            on_child(process)
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise CompileTimeout(
            _with_tail(f"compiling took longer than {timeout:g} s and was stopped", last_lines)
        ) from None
    finally:
        end_group(process)
        reader.join(_GRACE_SECONDS)
    return _answer_of(folder, process, last_lines, python)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything that it started, and reap it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _answer_of(folder: Path, process: subprocess.Popen[bytes], last_lines: Iterable[str], python: str) -> JsonObject:
    path = folder / "response.json"
    if not path.is_file():
        code = process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        raise CompileError(_with_tail(f"the compile process {how} without a result", last_lines))
    response: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    if response.get("kind") == "sdk":
        hint = "install sagemaker>=3.27,<4 there, or set sdk_python to an interpreter that has it"
        raise SdkNotAvailable(f"{python} cannot import the SageMaker SDK: {response['error']}; {hint}")
    if "error" in response:
        raise CompileError(_with_tail(response["error"], last_lines))
    return response


def _child_environment(folder: Path, modules: Path) -> dict[str, str]:
    settings = folder / "sagemaker-config.yaml"
    settings.write_text(_TELEMETRY_OFF, encoding="utf-8")
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {
        "HOME": str(folder),
        "PYTHONPATH": str(modules),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "AWS_DEFAULT_REGION": "us-east-1",  # required to import the SDK; sessions use the configuration's region
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(settings),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(settings),
    }


def _module_folder(folder: Path, modules: Iterable[str]) -> Path:
    """Create a folder with links to this package, its dependencies that the SDK does not have, and the named modules.

    This interpreter's complete path must not be passed on: another interpreter could import modules built for this one.
    """
    target = folder / "modules"
    target.mkdir()
    for name in {"airflow_sagemaker", "pathspec", *(module.split(".")[0] for module in modules)}:
        place = module_place(name)
        (target / place.name).symlink_to(place)
    return target


def module_place(name: str) -> Path:
    """Return the file of a top-level module, or the folder of a package. Raises CompileError if there is none."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise CompileError(f"module {name!r} cannot be found on this machine's Python path")
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(str(spec.origin)).resolve()


def _forward_output(process: subprocess.Popen[bytes], last_lines: deque[str]) -> None:
    stream = process.stdout
    if stream is None:
        return
    with stream:
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip()
            if line:
                last_lines.append(line)
                log.info("[compile] %s", line)


def _with_tail(message: str, last_lines: Iterable[str]) -> str:
    tail = "\n".join(f"  | {line}" for line in last_lines)
    return f"{message}\n{tail}" if tail else message


def default_python() -> str:
    """Return the default interpreter that compiles."""
    return os.environ.get("AIRFLOW_SAGEMAKER_SDK_PYTHON") or sys.executable
