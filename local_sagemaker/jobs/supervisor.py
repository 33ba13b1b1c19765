"""Runs the jobs: with a fair queue and limited concurrency; no job outlives the server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from local_sagemaker import disk
from local_sagemaker.jobs.clients import local_client
from local_sagemaker.jobs.fair_queue import FairQueue
from local_sagemaker.jobs.host.handle import NO_ISOLATION, Isolation, probe_isolation
from local_sagemaker.jobs.host.python_environment import JobPython
from local_sagemaker.jobs.job import Job, Services
from local_sagemaker.jobs.processing import ProcessingJob
from local_sagemaker.jobs.spec import JobEvents, JobSpec
from local_sagemaker.jobs.training import TrainingJob
from local_sagemaker.jobs.transfer.s3 import S3
from local_sagemaker.types import BotoClient

log = logging.getLogger(__name__)

_KINDS: dict[str, type[Job]] = {"training": TrainingJob, "processing": ProcessingJob}
_SHUTDOWN_SECONDS = 20


class UnknownJob(KeyError):
    """There is no queued or running job with this ARN."""


class JobSupervisor:
    """Owns the processes of all jobs; there is one per server.

    - `client_env`: environment variables that make boto3 in jobs use the server, such as AWS_ENDPOINT_URL and keys; the
      supervisor's clients use them, too.
    - `max_jobs`: how many jobs run concurrently; a job with several hosts counts as one.
    - `job_python`: an interpreter, or that of a virtual environment. Jobs can import its packages, but not change them.
    - `rewrite_paths`: replace /opt/ml in files even if mounts would work.
    - `log_file_bytes`, `log_stream_bytes`: the maximum size of a host's log file, and of its log in CloudWatch Logs.
    - `disk_reserve_bytes`: with less free disk space, no job starts, and running jobs are ended.
    - `max_processes`: the maximum number of processes of a host.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        client_env: Mapping[str, str],
        events: JobEvents,
        max_jobs: int,
        job_python: str,
        stop_grace_seconds: float,
        rewrite_paths: bool = False,
        log_file_bytes: int = 64 * 2**20,
        log_stream_bytes: int = 8 * 2**20,
        disk_reserve_bytes: int = disk.RESERVE_BYTES,
        max_processes: int = 2048,
    ) -> None:
        self._client_env = dict(client_env)
        self._job_python = job_python
        self._max_jobs = max_jobs
        self.isolation: Isolation = NO_ISOLATION if rewrite_paths else probe_isolation()
        self._services = Services(
            data_dir=data_dir.resolve(),
            s3=S3(lambda: self._client("s3"), data_dir.resolve() / "s3"),
            logs_client=lambda: self._logs_client,
            events=events,
            client_env=self._client_env,
            python=lambda: self.python,
            isolation=self.isolation,
            stop_grace_seconds=stop_grace_seconds,
            log_file_bytes=log_file_bytes,
            log_stream_bytes=log_stream_bytes,
            disk_reserve_bytes=disk_reserve_bytes,
            max_processes=max_processes,
        )
        self._lock = threading.Condition()
        self._queue = FairQueue()
        self._running: dict[str, tuple[Job, threading.Thread]] = {}
        self._free_slots = list(range(max_jobs))
        self._closed = False
        log.info("jobs get /opt/ml by %s", self.isolation)

    @cached_property
    def python(self) -> JobPython:
        """The interpreter that runs the jobs, inspected at first use; JobPythonError if it does not work."""
        return JobPython.ask(self._job_python)

    @cached_property
    def _logs_client(self) -> BotoClient:
        return self._client("logs")

    def _client(self, service: str) -> BotoClient:
        return local_client(service, self._client_env, max_connections=4 * self._max_jobs + 8)

    # --- the queue ----------------------------------------------------------------------------------------------

    def submit(self, spec: JobSpec) -> None:
        """Queue a job. It starts when a slot is free and it is its owner's turn."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the supervisor is shut down")
            self._queue.put(spec)
            self._start_next()

    def _start_next(self) -> None:
        while self._queue and self._free_slots and not self._closed:
            spec = self._queue.take()
            slot = self._free_slots.pop(0)
            job = _KINDS[spec.kind](spec, self._services, slot)
            thread = threading.Thread(target=self._run, args=(job, slot), name=f"job-{spec.name}", daemon=True)
            self._running[spec.arn] = (job, thread)
            thread.start()

    def _run(self, job: Job, slot: int) -> None:
        try:
            job.run()
        except Exception:
            log.exception("job %s", job.spec.name)
        finally:
            with self._lock:
                running = self._running.get(job.spec.arn)
                if running is not None and running[0] is job:  # not a newer job with the same name
                    del self._running[job.spec.arn]
                self._free_slots.append(slot)
                self._start_next()
                self._lock.notify_all()

    def _find(self, arn: str) -> Job:
        if arn not in self._running:
            raise UnknownJob(arn)
        return self._running[arn][0]

    def stop(self, arn: str) -> None:
        """Send SIGTERM, then SIGKILL after the grace period; the job ends as Stopped. UnknownJob if it is not here."""
        with self._lock:
            spec = self._queue.remove(arn)
            if spec is None:
                self._find(arn).stop()
        if spec is not None:
            _KINDS[spec.kind](spec, self._services, 0).never_started()

    def interrupt(self, arn: str) -> None:
        """Simulate a spot interruption; the job restarts from its checkpoints.

        UnknownJob if it is not here, ValueError if it is not a managed spot training job.
        """
        with self._lock:
            job = self._find(arn)
        job.interrupt()

    def shutdown(self) -> None:
        """End all jobs. When this returns, all of their processes have ended."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            running = list(self._running.values())
        for job, _ in running:
            job.shutdown()
        for _, thread in running:
            thread.join(_SHUTDOWN_SECONDS)
