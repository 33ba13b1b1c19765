"""Training jobs without an entry point, as SDK v2 creates them: they run `train` of sagemaker-training."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.expressions.values import is_expression
from local_sagemaker.types import Request

PROGRAM = "train"
"""The console script of sagemaker-training, which AWS's images run."""
_HYPERPARAMETERS = ("sagemaker_program", "sagemaker_submit_directory")


@dataclass(frozen=True)
class TrainingToolkit:
    """The programs of the jobs' Python; `train` can be installed while the server is running."""

    job_python: str

    def refusals(self, operation: str, request: Request) -> Iterator[str]:
        """Yield a message for a training job without an entry point if `train` is missing; expressions are skipped."""
        if operation != "CreateTrainingJob":
            return
        algorithm = request.get("AlgorithmSpecification")
        if not isinstance(algorithm, dict) or is_expression(algorithm) or algorithm.get("AlgorithmName"):
            return
        if algorithm.get("ContainerEntrypoint") or self._is_installed():
            return
        given = request.get("HyperParameters")
        names = [name for name in _HYPERPARAMETERS if isinstance(given, dict) and name in given]
        what = f"what the hyperparameters {' and '.join(names)} name" if names else "an image's own entry point"
        yield (
            "AlgorithmSpecification without ContainerEntrypoint is not supported by the local SageMaker as it was"
            f" started: no image is run here, and {what} is run by sagemaker-training, which the job Python does not"
            f" have: {self.job_python} -m pip install sagemaker-training. ModelTrainer of SDK v3 sets"
            " ContainerEntrypoint"
        )

    def _is_installed(self) -> bool:
        found = shutil.which(self.job_python)
        return found is not None and (Path(found).absolute().parent / PROGRAM).is_file()
