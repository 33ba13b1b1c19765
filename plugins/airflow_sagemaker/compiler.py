"""Turns a configuration into a pipeline definition, in a process of its own that alone imports the SageMaker SDK."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from airflow_sagemaker.config import PytorchTrainingConfig
from airflow_sagemaker.exceptions import CompileError

DEFAULT_TIMEOUT_SECONDS = 180.0


@dataclass(frozen=True)
class Upload:
    """One local file that the definition refers to: it must lie at s3://bucket/key before an execution starts."""

    path: str
    bucket: str
    key: str
    sha256: str
    size: int


@dataclass(frozen=True)
class CompiledPipeline:
    """A definition and what it needs to run. Equal configurations and sources give equal digests everywhere."""

    pipeline_name: str
    definition: str
    digest: str
    role_arn: str
    uploads: tuple[Upload, ...]
    tags: dict[str, str] = field(default_factory=dict)
    region: str = ""

    @property
    def version_alias(self) -> str:
        """The alias under which this definition is deployed as a pipeline version."""
        return f"d-{self.digest}"


def compile_pipeline(
    config: PytorchTrainingConfig,
    *,
    dependencies: Sequence[str] = (),
    sdk_python: str | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    on_child: Callable[[subprocess.Popen[bytes]], None] | None = None,
    use_cache: bool = True,
) -> CompiledPipeline:
    """Return the definition of a configuration. Makes no AWS call; raises CompileError."""
    raise CompileError("not compiled yet")
