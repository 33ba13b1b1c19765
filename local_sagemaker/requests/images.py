"""Which images a job may name: no image is run here, the job Python stands in for those of AWS that hold PyTorch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from local_sagemaker.types import Request

_PYTORCH = re.compile(
    r"\d{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9.-]+/([a-z0-9._/-]+/)?pytorch(-training|-inference)?([:@][\w.:@+-]+)?"
)
"""By the repository's name: each region has an account of its own, and a mirror has the user's."""
_MEMBERS = {
    "CreateTrainingJob": ("AlgorithmSpecification", "TrainingImage"),
    "CreateProcessingJob": ("AppSpecification", "ImageUri"),
}
SUPPORTED = "AWS's PyTorch containers (pytorch, pytorch-training, pytorch-inference in any account's ECR in any region)"


@dataclass(frozen=True)
class Images:
    """The images whose jobs the job Python runs."""

    patterns: tuple[str, ...] = ()
    """What `serve --image` allows beside AWS's PyTorch containers, as a shell's patterns over the whole URI."""

    def allow(self, image: str) -> bool:
        """Whether the job Python runs the jobs of this image."""
        return bool(_PYTORCH.fullmatch(image)) or any(fnmatchcase(image, pattern) for pattern in self.patterns)

    def refusals(self, operation: str, request: Request) -> Iterator[str]:
        """Yield why a job's image is refused; an image that is not known yet is left alone."""
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
    """A pattern for all versions of an image."""
    _, slash, last = image.rpartition("/")
    name = re.split("[:@]", last)[0]
    return f"*{slash}{name}{':' if last.startswith(f'{name}:') else ''}*"
