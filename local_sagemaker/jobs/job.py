"""The common part of training and processing jobs: starts, watches, stops and cleans up hosts."""

from __future__ import annotations

import logging
import queue
import shutil
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from local_sagemaker import disk
from local_sagemaker.identifiers import region_of
from local_sagemaker.job_files import UnsafeFile, remove_tree, walk
from local_sagemaker.jobs.host.container import Cluster, Paths, job_environment
from local_sagemaker.jobs.host.handle import HostExit, HostLayout, HostRun, Isolation
from local_sagemaker.jobs.host.python_environment import JobPython, make_environment
from local_sagemaker.jobs.host.runner.messages import HostConfig, Message
from local_sagemaker.jobs.logs import LogShipper
from local_sagemaker.jobs.spec import JobEvents, JobSpec, job_folder
from local_sagemaker.jobs.transfer import channels
from local_sagemaker.jobs.transfer.s3 import S3, Download, S3Problem
from local_sagemaker.requests.checks import refusals
from local_sagemaker.types import BotoClient, JsonObject

log = logging.getLogger(__name__)

Cause = Literal["exited", "stopped", "max_runtime", "interrupted", "disk"]
_WATCH_SECONDS = 2.0
_KILL_SECONDS = 5.0
"""How long a killed host may take to report its end before its runner is killed, too."""
_PEER_GRACE_SECONDS = 10.0
"""How long the other hosts may take to end after one has failed."""


class JobFailed(Exception):
    """The job ends as Failed, with the text as FailureReason."""


class JobStopped(Exception):
    """The job was stopped before its program started."""


class ServerShutdown(Exception):
    """The server is shutting down: the job's processes have ended, and nothing more is reported."""


@dataclass(frozen=True)
class Services:
    """What a job needs from its supervisor."""

    data_dir: Path
    s3: S3
    logs_client: Callable[[], BotoClient]
    events: JobEvents
    client_env: Mapping[str, str]
    python: Callable[[], JobPython]
    isolation: Isolation
    stop_grace_seconds: float
    log_file_bytes: int
    log_stream_bytes: int
    disk_reserve_bytes: int
    max_processes: int


@dataclass
class Outcome:
    """How the hosts ended."""

    cause: Cause
    failed: tuple[int, HostExit] | None = None
    """The index and exit of the host that failed first, if any."""
    detail: str | None = None


@dataclass
class _Watch:
    """The state of the loop that waits for hosts."""

    cause: Cause = "exited"
    detail: str | None = None
    kill_at: float | None = None
    killed: bool = False
    failed: tuple[int, HostExit] | None = None
    started: float = field(default_factory=time.monotonic)


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


class Job(ABC):
    """A job from its start to its last report. `run` is its thread; the other methods can be called from any thread."""

    group: str
    """Its CloudWatch Logs group."""

    def __init__(self, spec: JobSpec, services: Services, slot: int) -> None:
        self.spec = spec
        self.services = services
        self.request = spec.request
        self.folder = job_folder(services.data_dir, spec.kind, spec.name, spec.arn)
        self.cluster = self._cluster(slot)
        self.layouts = [HostLayout(self.folder / f"host-{n}") for n in range(1, len(self.cluster.names) + 1)]
        self.paths = [Paths(layout, services.isolation.mount) for layout in self.layouts]
        self._inbox: queue.SimpleQueue[tuple[str, HostRun | str | None]] = queue.SimpleQueue()
        self._stop_requested = threading.Event()
        self._shutdown = threading.Event()
        self._hosts: list[HostRun] = []
        self._stream_epoch = 0
        self._shipper: LogShipper | None = None

    # --- called by the supervisor -------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop the job; it ends as Stopped."""
        self._stop_requested.set()
        self._inbox.put(("stop", None))

    def interrupt(self) -> None:
        """Simulate a spot interruption; ValueError if the request does not use spot instances."""
        if self.request.get("EnableManagedSpotTraining") is not True:
            raise ValueError(f"{self.spec.name} is not a managed spot training job")
        self._inbox.put(("interrupt", None))

    def shutdown(self) -> None:
        """End at once, without reporting."""
        self._shutdown.set()
        self._inbox.put(("shutdown", None))

    # --- differs between kinds of job ---------------------------------------------------------------------------

    @abstractmethod
    def _cluster(self, slot: int) -> Cluster:
        """Name the hosts."""

    @abstractmethod
    def _work(self) -> None:
        """Run the job; raises JobFailed, S3Problem or JobStopped if it does not complete."""

    @abstractmethod
    def _report_failed(self, reason: str) -> None:
        """Report the end as Failed."""

    @abstractmethod
    def _report_stopped(self) -> None:
        """Report the end as Stopped."""

    def _metrics(self, found: list[tuple[str, float, int]]) -> None:  # noqa: B027 (a hook that not every kind needs)
        """Process metrics from the log: name, value, milliseconds."""

    def _tick(self, *, final: bool = False) -> None:  # noqa: B027
        """Called every few seconds while the hosts are running."""

    # --- running ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the job until its last report."""
        try:
            self._prepare_folder()
            refused = refusals(f"Create{self.spec.kind.capitalize()}Job", self.request)
            if refused:
                raise JobFailed("ClientError: " + "; ".join(refused))
            self._work()
        except (JobFailed, S3Problem) as problem:
            self._report_failed(str(problem)[:1024])
        except JobStopped:
            self._report_stopped()
        except ServerShutdown:
            log.info("%s %s ended with the server", self.spec.kind, self.spec.name)
        except Exception as error:
            log.exception("%s %s", self.spec.kind, self.spec.name)
            self._report_failed(self._why_internal(error)[:1024])
        finally:
            self._close_hosts()
            self._close_logs()

    def never_started(self) -> None:
        """Report a queued job as Stopped."""
        self._report_stopped()

    def _prepare_folder(self) -> None:
        remove_tree(self.folder)
        self.folder.mkdir(parents=True)
        if short := self._disk_shortage():
            raise JobFailed(f"ClientError: No space left on device: {short}")

    def _disk_shortage(self) -> str | None:
        return disk.shortage(self.services.data_dir, self.services.disk_reserve_bytes)

    def _why_internal(self, error: Exception) -> str:
        if isinstance(error, OSError) and disk.is_full(error):
            # the error of a failed write does not contain the path
            place = self._disk_shortage() or f"the disk of {self.services.data_dir} was full"
            return f"ClientError: No space left on device: {place}"
        return f"InternalServerError: {type(error).__name__}: {error}"

    def check_stop(self) -> None:
        """Raise if the job was stopped or the server is shutting down; called between downloads."""
        if self._shutdown.is_set():
            raise ServerShutdown
        if self._stop_requested.is_set():
            raise JobStopped

    def run_hosts(self, configs: list[HostConfig], max_runtime: float) -> Outcome:
        """Start all hosts and wait until they end for any reason."""
        self._shipper = LogShipper(self.services.logs_client(), self.group)
        self._stream_epoch = int(time.time())
        self.check_stop()
        for config, layout in zip(configs, self.layouts, strict=True):  # one by one: `run` closes those that started
            self._hosts.append(HostRun(config, layout.root, self._on_message))
        self.check_stop()
        watcher = _Ticker(self._watch_folder)
        try:
            watch = self._wait(max_runtime)
        finally:
            self._close_hosts()
            watcher.close()
        self._close_logs()
        self._hosts = []
        return Outcome(watch.cause, watch.failed, watch.detail)

    def _wait(self, max_runtime: float) -> _Watch:
        watch = _Watch()
        running = len(self._hosts)
        while running:
            now = time.monotonic()
            runtime_left = watch.started + max_runtime - now
            if watch.kill_at is None and runtime_left <= 0:
                self._begin_end(watch, "max_runtime")
            if watch.kill_at is not None and now >= watch.kill_at:
                self._kill_hosts(destroy=watch.killed)
                watch.killed, watch.kill_at = True, now + _KILL_SECONDS
            wait = runtime_left if watch.kill_at is None else watch.kill_at - now
            try:
                event, value = self._inbox.get(timeout=max(0.0, min(wait, 3600)))
            except queue.Empty:
                continue
            running -= event == "ended"
            self._handle(watch, event, value)
        return watch

    def _handle(self, watch: _Watch, event: str, value: HostRun | str | None) -> None:
        if event == "shutdown":
            self._kill_hosts()
            raise ServerShutdown
        if event == "disk":
            watch.cause, watch.detail, watch.kill_at = "disk", str(value), time.monotonic()
        elif isinstance(value, HostRun):
            self._note_end(watch, value)
        elif event == "stop" and watch.cause in {"exited", "interrupted"}:
            self._begin_end(watch, "stopped")
        elif event == "interrupt" and watch.kill_at is None:
            self._begin_end(watch, "interrupted")

    def _note_end(self, watch: _Watch, host: HostRun) -> None:
        """Store the first failure, and end the other hosts, which cannot continue without the failed one."""
        ended = host.exit or HostExit(137, None, [])
        if ended.code == 0 or watch.failed:
            return
        watch.failed = (self._hosts.index(host), ended)
        if watch.kill_at is None:
            self._terminate_hosts()
            watch.kill_at = time.monotonic() + min(_PEER_GRACE_SECONDS, self.services.stop_grace_seconds)

    def _begin_end(self, watch: _Watch, cause: Cause) -> None:
        watch.cause = cause
        watch.kill_at = time.monotonic() + self.services.stop_grace_seconds
        self._ending(cause)
        self._terminate_hosts()

    def _ending(self, cause: Cause) -> None:  # noqa: B027
        """Called when the job starts to end."""

    def _terminate_hosts(self) -> None:
        for host in self._hosts:
            if host.alive:
                host.terminate()

    def _kill_hosts(self, *, destroy: bool = False) -> None:
        for host in self._hosts:
            host.kill()
            if destroy and host.alive:
                host.destroy()

    def _close_hosts(self) -> None:
        for host in self._hosts:
            host.close()

    def _close_logs(self) -> None:
        if self._shipper:
            self._shipper.close()
            self._shipper = None

    def _on_message(self, host: HostRun, message: Message) -> None:
        """Process a runner's message, in the host's reader thread."""
        if "log" in message and self._shipper:
            self._shipper.add(f"{self.spec.name}/{host.config.host}-{self._stream_epoch}", message["log"])
        if "metrics" in message:
            self._metrics(message["metrics"])
        if "ended" in message:
            self._inbox.put(("ended", host))

    def _watch_folder(self) -> None:
        self._tick()
        if short := self._disk_shortage():
            self._inbox.put(("disk", short))
            return
        volume = self._volume_bytes()
        try:
            used = sum(512 * entry.status.st_blocks for entry in walk(self.folder, self.folder)) if volume else 0
        except UnsafeFile as error:  # without a known size, the limit cannot be enforced
            self._inbox.put(("disk", f"the job's size cannot be measured, {error}"))
            return
        if volume and used > volume:
            self._inbox.put(("disk", f"the job uses {used // 2**20} MB and its volume has {volume // 2**20} MB"))

    def room_bytes(self) -> int:
        """The maximum size of a host's files: its volume, or this machine's disk."""
        return self._volume_bytes() or shutil.disk_usage(self.folder).total

    def _volume_bytes(self) -> int:
        """The size of the requested volume; 0 for no limit."""
        return 0

    def plan(self, source: JsonObject) -> list[Download]:
        """List the objects of an S3 source."""
        role = str(self.request.get("RoleArn", ""))
        return channels.plan(self.services.s3, source, region=region_of(self.spec.arn), role=role)

    def host_config(self, index: int, argv: list[str], own: Mapping[str, str], cwd: str) -> HostConfig:
        """Create a host's Python environment, and return its configuration."""
        services, layout, paths = self.services, self.layouts[index], self.paths[index]
        python = services.python()
        programs = make_environment(layout.root / "python", python, services.data_dir / "environments")
        hosts_file = layout.root / "etc-hosts"
        hosts_file.write_text(self.cluster.hosts_file())
        isolation = services.isolation
        return HostConfig(
            host=self.cluster.names[index],
            argv=[paths.seen(word) for word in argv],
            env=job_environment(own, services.client_env, paths, programs, python.scripts),
            cwd=paths.seen(cwd),
            ml=str(layout.ml),
            mount=isolation.mount,
            pid_namespace=isolation.pid_namespace,
            hosts_file=str(hosts_file),
            log_file=str(layout.log_file),
            metrics_file=str(layout.metrics_file),
            metric_definitions=self._metric_definitions(),
            log_file_bytes=services.log_file_bytes,
            log_stream_bytes=services.log_stream_bytes,
            max_processes=services.max_processes,
        )

    def _metric_definitions(self) -> list[dict[str, str]]:
        return []


class _Ticker:
    """Calls a function every few seconds in a thread until closed. Errors are only logged."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="job-watcher", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        pause = _WATCH_SECONDS
        while not self._closing.wait(pause):
            began = time.monotonic()
            try:
                self._function()
            except FileNotFoundError:
                continue  # a file was removed during the check
            except Exception:
                log.exception("watching a job's folder")
            pause = max(_WATCH_SECONDS, 20 * (time.monotonic() - began))  # at most 5 % of the time, for many files

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
