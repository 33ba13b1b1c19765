"""The supported images. Images are not run: the jobs' Python replaces AWS's PyTorch images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from local_sagemaker.types import Request

_PYTORCH = re.compile(
    r"\d{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9.-]+/([a-z0-9._/-]+/)?pytorch(-training|-inference)?([:@][\w.:@+-]+)?"
)
"""Matches by repository name, since the account differs between regions, and mirrors are in users' accounts."""
_MEMBERS = {
    "CreateTrainingJob": ("AlgorithmSpecification", "TrainingImage"),
    "CreateProcessingJob": ("AppSpecification", "ImageUri"),
}
SUPPORTED = "AWS's PyTorch containers (pytorch, pytorch-training, pytorch-inference in any account's ECR in any region)"


@dataclass(frozen=True)
class Images:
    """The images that jobs may use."""

    patterns: tuple[str, ...] = ()
    """Shell patterns of `serve --image`, matched against the whole URI, in addition to AWS's PyTorch containers."""

    def allow(self, image: str) -> bool:
        """Whether jobs may use this image."""
        return bool(_PYTORCH.fullmatch(image)) or any(fnmatchcase(image, pattern) for pattern in self.patterns)

    def refusals(self, operation: str, request: Request) -> Iterator[str]:
        """Yield a message if a job's image is not supported; expressions are skipped."""
        if operation not in _MEMBERS:
            return
        outer, inner = _MEMBERS[operation]
        holder = request.get(outer)
        image = holder.get(inner) if isinstance(holder, dict) else None
        if isinstance(image, str) and not self.allow(image):
            yield (
                f"{outer}.{inner} '{image}' is not supported by the local SageMaker: no image is run here, its Python"
                f" replaces {SUPPORTED}. If it has what the job imports, allow the image:"
                f" serve --image '{_pattern(image)}'"
            )


def _pattern(image: str) -> str:
    """A pattern that matches all versions of an image."""
    _, slash, last = image.rpartition("/")
    name = re.split("[:@]", last)[0]
    return f"*{slash}{name}{':' if last.startswith(f'{name}:') else ''}*"
