"""Assembles the parts, serves until a signal, and shuts down."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from local_sagemaker import addresses, service_model
from local_sagemaker.actions.context import Context
from local_sagemaker.client import environment as client_environment
from local_sagemaker.engine import Engine, Outbox
from local_sagemaker.errors import StartError
from local_sagemaker.http.listener import Listener
from local_sagemaker.http.moto_backends import MotoBackends
from local_sagemaker.http.throttle import Throttle
from local_sagemaker.http.wsgi import Application
from local_sagemaker.jobs.functions import Functions
from local_sagemaker.jobs.supervisor import JobSupervisor
from local_sagemaker.logs import LogStore
from local_sagemaker.requests.checks import RequestChecks
from local_sagemaker.requests.functions import KnownFunctions
from local_sagemaker.requests.images import Images
from local_sagemaker.requests.instances import Capacity
from local_sagemaker.requests.toolkit import TrainingToolkit
from local_sagemaker.s3.server import S3Server, listen, port_of
from local_sagemaker.store.database import Database

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """The options of `serve`."""

    data_dir: Path
    port: int
    s3_port: int
    host: str
    max_jobs: int
    job_python: str
    stop_grace_seconds: float
    access_key: str
    secret_key: str
    package_index: str
    throttle: float
    images: tuple[str, ...]
    no_capacity: tuple[str, ...]
    callback_hook: str | None
    functions: Mapping[str, str]


def lock(data_dir: Path) -> IO[str]:
    """Lock the data folder for this process; StartError if another server uses it or it is not writable."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _keep_private(data_dir)
        stream = (data_dir / "server.lock").open("a+")
    except OSError as error:
        raise StartError(f"--data-dir {data_dir} is not a writable folder: {error.strerror}") from None
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.seek(0)
        holder = stream.read().strip() or "unknown"
        raise StartError(f"another local SageMaker serves {data_dir} (process {holder})") from None
    stream.truncate(0)
    stream.write(str(os.getpid()))
    stream.flush()
    return stream


def _keep_private(data_dir: Path) -> None:
    """Make the folder inaccessible to other users; StartError if another user could replace the folder."""
    found = data_dir.stat()
    if found.st_uid != os.geteuid():
        if os.geteuid() != 0:
            raise StartError(f"--data-dir {data_dir} belongs to user {found.st_uid}: use your own folder")
    elif found.st_mode & 0o077:
        if (data_dir / "server.lock").exists() or not any(data_dir.iterdir()):
            data_dir.chmod(0o700)
        elif found.st_mode & 0o022:
            raise StartError(f"--data-dir {data_dir} can be written to by other users: use a separate folder")


class Server:
    """A server for one data folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = lock(settings.data_dir)
        address = addresses.listening_address(settings.host)
        self._is_open = not addresses.is_loopback(address)
        self._http = Listener(address, settings.port, settings.access_key)
        port = self._http.effective_port
        s3_listener = _listen_for_s3(settings, address)
        self._s3 = S3Server(
            settings.data_dir / "s3",
            s3_listener,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            any_host=self._is_open,
            log_file=settings.data_dir / "s3.log",
        )
        self.environment = client_environment.client_environment(
            addresses.url(address, port),
            addresses.url(address, port_of(s3_listener)),
            settings.access_key,
            settings.secret_key,
        )
        self._moto = MotoBackends()
        self._db = Database(settings.data_dir / "sagemaker.db")
        self._logs = LogStore(settings.data_dir / "logs.db")
        self._checks = RequestChecks(
            settings.data_dir / "s3",
            Images(settings.images),
            Capacity(frozenset(settings.no_capacity)),
            KnownFunctions(settings.functions),
            TrainingToolkit(settings.job_python),
        )
        outbox = Outbox(self._db, settings.data_dir, settings.callback_hook)
        functions = Functions(
            settings.functions,
            data_dir=settings.data_dir,
            python=settings.job_python,
            client_env=_job_environment(self.environment),
        )
        self._engine = Engine(self._db, settings.data_dir, self._checks, outbox, functions)
        self._supervisor: JobSupervisor | None = None
        self._signals: _SignalPipe | None = None

    def start(self) -> None:
        """Start all parts; when this returns, all of them respond, and signals shut the server down."""
        self._signals = _SignalPipe()
        settings = self.settings
        threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
        self._s3.start()
        self._supervisor = JobSupervisor(
            settings.data_dir,
            client_env=_job_environment(self.environment),
            events=self._engine,
            max_jobs=settings.max_jobs,
            job_python=settings.job_python,
            stop_grace_seconds=settings.stop_grace_seconds,
        )
        self._http.set_application(
            Application(
                Context(self._db, self._engine, self._logs, settings.data_dir, self._checks),
                self._moto,
                access_key=settings.access_key,
                secret_key=settings.secret_key,
                is_open=self._is_open,
                s3_answers=self._s3.answers,
                package_index=settings.package_index,
                throttle=Throttle(settings.throttle),
            )
        )
        # finish what an earlier server left before responding to requests
        self._engine.start(self._supervisor)
        threading.Thread(target=self._http.run, name="http", daemon=True).start()
        client_environment.save(settings.data_dir, self.environment)

    def serve(self) -> None:
        """Wait for SIGTERM or SIGINT, then shut down."""
        if self._signals is not None:
            self._signals.wait()
        self.stop()

    def stop(self) -> None:
        """End the jobs, S3 and the listener, in that order."""
        self._engine.shutdown()
        if self._supervisor is not None:
            self._supervisor.shutdown()
        self._s3.stop()
        self._http.close()
        self._lock.close()


class _SignalPipe:
    """Waits for SIGTERM or SIGINT, whichever thread receives it.

    A Python signal handler runs only in the main thread, which does not wake from waiting for a lock if another thread
    received the signal. The interpreter's wakeup descriptor works in every thread: it gets the signal's number.
    """

    _NUMBERS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in self._NUMBERS:
            signal.signal(number, lambda _number, _frame: None)

    def wait(self) -> None:
        """Return after one of the signals."""
        while os.read(self._reader, 1)[0] not in self._NUMBERS:
            pass


def _listen_for_s3(settings: Settings, address: str) -> socket.socket:
    """Listen on the given port, else on the previous server's, so that clients keep working, else on any free one."""
    wanted = settings.s3_port or _earlier_s3_port(settings.data_dir)
    listener = listen(address, wanted)
    if listener is None and not settings.s3_port:
        listener = listen(address, 0)
    if listener is None:
        raise StartError(f"port {settings.s3_port} for S3 cannot be used; choose another with --s3-port")
    return listener


def _earlier_s3_port(data_dir: Path) -> int:
    try:
        return int(client_environment.load(data_dir)["AWS_ENDPOINT_URL_S3"].rsplit(":", 1)[1])
    except (StartError, KeyError, ValueError):
        return 0


def _job_environment(client: Mapping[str, str]) -> dict[str, str]:
    return {**client, "AWS_REGION": client["AWS_DEFAULT_REGION"]}


def _warm_up() -> None:
    """Load the model that every request needs. moto is loaded by the first request that needs it.

    The loaded objects are permanent, so the garbage collector can ignore them. A full collection takes 30 ms and blocks
    all requests (List of 100 executions, p99: 5.3 ms before, 2.2 ms after).
    """
    service_model.service_model()
    gc.collect()
    gc.freeze()
