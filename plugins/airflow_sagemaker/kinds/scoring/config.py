"""The configuration of a scoring pipeline."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from pydantic import Field

from airflow_sagemaker.config import container_images as images
from airflow_sagemaker.config.base import BasePipelineConfig, Compute, ModelRegistry
from airflow_sagemaker.config.instance_types import instance_type_problem
from airflow_sagemaker.config.s3_uris import is_inside, normalised_uri, uri_problem
from airflow_sagemaker.config.strict_model import Rule, is_template, reads_fields
from airflow_sagemaker.exceptions import ConfigurationError, Violation
from airflow_sagemaker.types import JsonMapping

CHAMPION = "champion"
PROGRAM = "predict.py"
_PLACEHOLDERS = {"model": "s3://given/at-start/model.tar.gz", "input_path": "s3://given/at-start"}
"""Placeholder in the compile process, which knows no values of a run."""
_PACKAGE = re.compile(r"arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]+:\d{12}:model-package/[^/]+(/\d+)?")


class _Fields(Protocol):
    """The fields that the rules read."""

    model: str
    group: str | None
    input_path: str
    output_path: str | None
    scoring_instance_type: str


@reads_fields("model", "group")
def _model_is_known(seen: _Fields) -> Iterator[Violation]:
    if is_template(seen.model):
        return
    if seen.model == CHAMPION:
        if seen.group is None:
            yield Violation("group", None, "is required to find the champion", "name the model package group")
    elif not _PACKAGE.fullmatch(seen.model) and uri_problem(seen.model):
        rule = f"must be {CHAMPION!r}, the ARN of a model package, or the S3 URI of a model.tar.gz"
        yield Violation("model", seen.model, rule)


@reads_fields("input_path", "output_path")
def _paths(seen: _Fields) -> Iterator[Violation]:
    sound = {}
    for name in ("input_path", "output_path"):
        uri = getattr(seen, name)
        if uri is None or is_template(uri):
            continue
        problem = uri_problem(uri)
        if problem:
            yield Violation(name, uri, problem)
        else:
            sound[name] = uri
    if len(sound) == 2:
        rows, answers = sound["input_path"], sound["output_path"]
        if normalised_uri(rows) == normalised_uri(answers) or is_inside(answers, rows) or is_inside(rows, answers):
            yield Violation("output_path", answers, "must not contain input_path or be inside it", f"that is {rows}")


@reads_fields("scoring_instance_type")
def _instance_type(seen: _Fields) -> Iterator[Violation]:
    problem = "" if is_template(seen.scoring_instance_type) else instance_type_problem(seen.scoring_instance_type)
    if problem:
        yield Violation("scoring_instance_type", seen.scoring_instance_type, problem)


class PytorchScoringConfig(BasePipelineConfig):
    """Scores the rows of a partition with the champion, or any model of the training program.

    The predictions are written to `output_path` as predictions.parquet, completely or not at all: id, probability and
    label of each row, and the model and the partition.
    """

    kind: ClassVar[str] = "scoring"
    steps: ClassVar[str] = "airflow_sagemaker.kinds.scoring.steps:scoring_step"
    run_fields: ClassVar[frozenset[str]] = frozenset(
        {"partition", "model", "model_name", "group", "input_path", "output_path", "scoring_instance_type"}
    )
    input_fields: ClassVar[tuple[str, ...]] = ("input_path",)
    output_fields: ClassVar[tuple[str, ...]] = ("output_path",)
    rules: ClassVar[tuple[Rule, ...]] = (_model_is_known, _paths, _instance_type)

    pipeline_name: str = Field(default="pytorch-scoring", description="Name of the SageMaker pipeline.")
    model: str = Field(
        default=CHAMPION,
        description="champion (the latest approved package of `group` when the run starts), the ARN of a model "
        "package, or the S3 URI of a model.tar.gz.",
    )
    group: str | None = Field(default=None, description="Model package group of the champion.")
    model_name: str | None = Field(
        default=None, description="Name of the model in the predictions. Default: the package's ARN, or `model`."
    )
    input_path: str = Field(description="S3 URI of a parquet file, or of a folder of parquet parts.")
    output_path: str | None = Field(default=None, description="S3 folder for predictions.parquet; generated.")
    scoring_instance_type: str = Field(default="ml.m5.xlarge", description="Instance type; also chooses the image.")
    scoring_volume_size: int = Field(default=30, ge=1, le=16384, description="Volume of the instance in GB.")
    scoring_image: str | None = Field(default=None, description="Image to use instead of AWS's PyTorch container.")
    max_runtime_seconds: int = Field(default=14400, ge=1, le=432000, description="Seconds until the job is stopped.")

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        path = self.output_path
        if path is None and self.bucket is not None:
            path = f"s3://{self.bucket}/{self.pipeline_name}/output/{self.partition_folder}"
        # Bypasses the frozen model, so that model_fields_set still has only the explicit fields.
        self.__dict__["output_path"] = path if path is None or is_template(path) else normalised_uri(path)

    @property
    def own_image(self) -> str | None:
        """The user's image that replaces AWS's PyTorch container."""
        return self.scoring_image

    def compute(self) -> tuple[Compute, ...]:
        """Return the Processing job's instance."""
        usage = "processing job usage"
        return (Compute(self.scoring_instance_type, 1, self.max_runtime_seconds, usage),)

    def input_objects(self) -> dict[str, str]:
        """Return the S3 URIs of the rows, and of a model that is given as a URI."""
        model = {"the model": self.model} if self.model.startswith("s3://") else {}
        return {"the rows": self.input_path, **model}

    def image(self) -> str:
        """Return the configured image, or the one for region and instance type."""
        if self.scoring_image:
            return self.scoring_image
        self.require(["region"])
        return images.training_image(
            str(self.region), self.scoring_instance_type, self.framework_version, self.py_version
        )

    def resolved(self, registry_of: Callable[[str], ModelRegistry]) -> Self:
        """Return the configuration with the S3 URI of its model: one or two calls, none if it is given.

        Raises ConfigurationError if the group has no champion, or the package does not exist.
        """
        if self.model.startswith("s3://"):
            return self
        registry = registry_of(str(self.group))
        if self.model == CHAMPION:
            package = registry.champion()
            rule, hint = (
                f"group {self.group} has no approved model package",
                "approve one, or train and promote a model",
            )
        else:
            package = registry.describe(self.model)
            rule, hint = "does not exist", "it may have been deleted"
        if package is None:
            raise ConfigurationError([Violation("model", self.model, rule, hint)])
        if not package.model_artifact:
            raise ConfigurationError([Violation("model", package.arn, "has no ModelDataUrl in its first container")])
        return self.updated(model=package.model_artifact, model_name=self.model_name or package.arn)

    def parameter_types(self) -> dict[str, str]:
        """Return the names of the pipeline's parameters, all of them strings."""
        names = ("InputPath", "OutputPath", "ModelArtifact", "ModelName", "Partition", "ScoringImage", "InstanceType")
        return dict.fromkeys(names, "String")

    def pipeline_parameters(self, *, run_key: str | None = None) -> dict[str, str]:
        """Return the parameters for StartPipelineExecution. Raises ConfigurationError if a value is missing."""
        self.require(["output_path", "region"])
        if not self.model.startswith("s3://"):
            rule = "has not been resolved to an artifact yet"
            raise ConfigurationError([Violation("model", self.model, rule, "it is looked up when a run starts")])
        return {
            "InputPath": normalised_uri(self.input_path),
            "OutputPath": str(self.output_path),
            "ModelArtifact": self.model,
            "ModelName": self.model_name or self.model,
            "Partition": self.partition,
            "ScoringImage": self.image(),
            "InstanceType": self.scoring_instance_type,
        }

    @classmethod
    def from_compile_request(cls, request: JsonMapping) -> Self:
        """Return a configuration with the request's static part, and placeholders for the values of a run."""
        return cls(**{**_PLACEHOLDERS, **request["config"]})

    def source_violations(self) -> list[Violation]:
        """Return violations of the files to upload: these rules read the disk."""
        found = super().source_violations()
        if not found and not (Path(self.source_dir) / PROGRAM).is_file():
            found.append(Violation("source_dir", self.source_dir, f"does not contain {PROGRAM}"))
        return found
