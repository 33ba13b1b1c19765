"""Runs the jobs: a fair queue, a bounded number at once, and none that outlives the server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from local_sagemaker.jobs.spec import JobEvents, JobSpec


class JobSupervisor:
    """Owns every job's processes; one per server."""

    def __init__(
        self,
        data_dir: Path,
        *,
        client_env: Mapping[str, str],
        events: JobEvents,
        max_jobs: int,
        job_python: str,
        stop_grace_seconds: float,
    ) -> None:
        self.data_dir = data_dir

    def submit(self, spec: JobSpec) -> None:
        """Queue a job; it starts when a slot is free, first come first served."""
        raise NotImplementedError

    def stop(self, arn: str) -> None:
        """Send SIGTERM, after the grace SIGKILL; the job ends as Stopped."""
        raise NotImplementedError

    def interrupt(self, arn: str) -> None:
        """Take the instance away as a spot interruption does; the job starts again from its checkpoints."""
        raise NotImplementedError

    def shutdown(self) -> None:
        """End every job's processes; nothing that it started is alive when it returns."""
        raise NotImplementedError
