"""The context of an action."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.engine import Engine
from local_sagemaker.logs.store import LogStore
from local_sagemaker.requests.checks import RequestChecks
from local_sagemaker.store.database import Database


@dataclass(frozen=True)
class Context:
    """The parts of the server that actions use."""

    db: Database
    engine: Engine
    logs: LogStore
    data_dir: Path
    checks: RequestChecks

    @property
    def s3_dir(self) -> Path:
        """The folder of the buckets."""
        return self.data_dir / "s3"
