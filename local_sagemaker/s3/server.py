"""The S3 server's process: started, watched, restarted if it dies, and ended with the server."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from local_sagemaker import disk
from local_sagemaker.addresses import family
from local_sagemaker.errors import StartError

log = logging.getLogger(__name__)

CANNOT_START = 3
"""Exit status of a process whose last line of output says what is wrong with its files."""

_READY_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
"""Loaded before any fork: the loader's lock may be held by another thread, and then stays locked in the child."""
_BACKLOG = 1024
_DISK_SECONDS = 5.0
"""Between checks of the free disk space."""


def listen(address: str, port: int) -> socket.socket | None:
    """A listening socket at a numeric address; port 0 is any free port. None if the port is in use."""
    try:
        return socket.create_server((address, port), family=family(address), backlog=_BACKLOG)
    except OSError:
        return None


def port_of(listener: socket.socket) -> int:
    """The port that a socket listens on."""
    return int(listener.getsockname()[1])


def _python_path() -> str:
    """PYTHONPATH for the child, with this package's folder first, whatever the working directory is."""
    return os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))


def _die_with_parent() -> None:
    # S3 must not outlive a killed server; its own session keeps Ctrl-C away from it
    os.setsid()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class S3Server:
    """The child process, and the thread that starts it, watches it and restarts it.

    The parent holds the listening socket, so that clients wait while the child is restarted.
    """

    def __init__(
        self,
        folder: Path,
        listener: socket.socket,
        *,
        access_key: str,
        secret_key: str,
        any_host: bool = False,
        log_file: Path,
    ) -> None:
        """`any_host` accepts any Host header. The catalog is stored next to the folder."""
        self._folder = folder
        self._listener = listener
        self._keys = {"LOCAL_S3_ACCESS_KEY": access_key, "LOCAL_S3_SECRET_KEY": secret_key}
        self._any_host = any_host
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._has_started = False
        self._refusal: str | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="s3", daemon=True)

    def start(self) -> None:
        """Start the process and wait until it responds; StartError if it does not."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        deadline = time.monotonic() + _READY_SECONDS
        while not self.answers():
            if time.monotonic() > deadline or not self._thread.is_alive():
                text = f"S3 does not respond on port {port_of(self._listener)}; see {self._log_file}"
                self.stop()
                raise StartError(self._refusal or text)
        self._has_started = True

    def answers(self) -> bool:
        """Whether S3 responds to a request within a second."""
        try:  # the wildcard address includes loopback
            with socket.create_connection(self._listener.getsockname()[:2], timeout=1) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return connection.recv(5) == b"HTTP/"
        except OSError:
            return False

    def stop(self) -> None:
        """End the process and its thread."""
        self._ending.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._thread.join(timeout=10)
        self._listener.close()

    def _command(self) -> list[str]:
        catalog = self._folder.with_suffix(".db")
        command = [sys.executable, "-m", "local_sagemaker.s3", "--folder", str(self._folder), "--catalog", str(catalog)]
        return [*command, "--listener", str(self._listener.fileno()), *(["--any-host"] if self._any_host else [])]

    def _watch(self) -> None:
        pause = 0.1
        while not self._ending.is_set():
            started = time.monotonic()
            with self._log_file.open("ab") as output:
                self._process = subprocess.Popen(
                    self._command(),
                    # keys go into the environment: every user can read a command line
                    env={**os.environ, **self._keys, "PYTHONPATH": _python_path()},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(self._listener.fileno(),),
                    preexec_fn=_die_with_parent,  # noqa: PLW1509
                )
            status = self._wait(self._process)
            if self._ending.is_set():
                return
            if status == CANNOT_START and not self._has_started:
                self._refusal = self._log_file.read_text(errors="replace").splitlines()[-1]
                return
            pause = 0.1 if time.monotonic() - started > 10 else min(pause * 2, 5.0)
            log.error("S3 ended with status %s, restarting it in %.1f s (see %s)", status, pause, self._log_file)
            self._ending.wait(pause)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait until the process ends; log once when the disk is almost full, and once when it has space again."""
        was_short = False
        while True:
            short = disk.shortage(self._folder, disk.RESERVE_BYTES) if self._folder.is_dir() else None
            if short and not was_short:
                log.error("%s: S3 will reject uploads once it is full, and jobs will fail", short)
            elif was_short and not short:
                log.info("the disk of %s has free space again", self._folder)
            was_short = short is not None
            try:
                return process.wait(_DISK_SECONDS)
            except subprocess.TimeoutExpired:
                continue
