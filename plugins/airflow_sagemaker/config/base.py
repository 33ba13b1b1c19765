"""The configuration that all kinds of pipelines share: typed and validated, with all violations at once.

Importing it imports neither Airflow nor the SDK nor botocore. A configuration in a DAG file may lack what is known only
later (bucket, role and region from the connection, the run's partition, templates); `completed()` adds it, and
`require()` raises an error for what is still missing.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Protocol, Self

from pydantic import BeforeValidator, Field

from airflow_sagemaker.config import container_images as images
from airflow_sagemaker.config.partition_keys import partition_folder
from airflow_sagemaker.config.rules import BASE
from airflow_sagemaker.config.strict_model import Rule, StrictModel, is_template
from airflow_sagemaker.config.yaml_files import file_label, read_yaml
from airflow_sagemaker.exceptions import MISSING, ConfigurationError, Violation
from airflow_sagemaker.types import JsonMapping, JsonObject


def default_source_dir() -> str:
    """Return the project's `training/` folder.

    It is AIRFLOW_SAGEMAKER_SOURCE_DIR, or the copy in the installed package, or the folder next to plugins/, in a
    checkout or a copied plugins folder.
    """
    named = os.environ.get("AIRFLOW_SAGEMAKER_SOURCE_DIR")
    package = Path(__file__).resolve().parents[1]
    installed = package / "program" / "training"
    return named or str(installed if installed.is_dir() else package.parents[1] / "training")


def today_utc() -> str:
    """Return today's date in UTC, the default partition."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


References = Annotated[tuple[str, ...], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)]
"""References "module:function"; a single one may be a string."""


DEFAULT_KIND = "training"
"""The kind of plain data without `kind`."""


@dataclass(frozen=True)
class Compute:
    """Instances and maximum runtime of a job, which determine quota and price."""

    instance_type: str
    count: int
    max_seconds: int
    usage: str
    """The usage in the name of the service quota, such as `training job usage`."""


class ModelPackage(Protocol):
    """A package in the model registry."""

    @property
    def arn(self) -> str:
        """Its ARN."""

    @property
    def model_artifact(self) -> str:
        """S3 URI of its model.tar.gz; empty if it has none."""


class ModelRegistry(Protocol):
    """A model package group."""

    def champion(self) -> ModelPackage | None:
        """Return the latest approved package; None without one."""

    def describe(self, arn: str) -> ModelPackage | None:
        """Return one package; None if it does not exist."""


class BasePipelineConfig(StrictModel):
    """The configuration of any kind of pipeline: operator, compiler, command line and pages use only this interface.

    A kind is a subclass that sets `steps`. Fields in `run_fields` become pipeline parameters, with values for each
    start; all others are part of the definition. A kind may override the `ClassVar`s and methods below:

        class ForecastConfig(BasePipelineConfig):
            steps = "my_project.forecast_steps:forecast_steps"      # imported in the compile process only
            run_fields = frozenset({"input_path", "output_path"})
            input_path: str
            output_path: str
    """

    kind: ClassVar[str] = ""
    """Name of a kind of this package; a user's own kind is identified by its class, as "module:Class"."""
    steps: ClassVar[str] = ""
    """"module:function" that takes a StepContext and returns one or several steps."""
    run_fields: ClassVar[frozenset[str]] = frozenset({"partition"})
    """Fields with values of a single run, which the definition must not depend on."""
    input_fields: ClassVar[tuple[str, ...]] = ()
    """Fields with S3 URIs that are read."""
    output_fields: ClassVar[tuple[str, ...]] = ()
    """Fields with S3 URIs that are written; in a partitioned run, explicit ones must contain the partition."""
    entry_point_field: ClassVar[str] = ""
    """Field with the name of the program in `source_dir`, if the kind ships one."""

    rules: ClassVar[tuple[Rule, ...]] = BASE

    bucket: str | None = Field(
        default=None,
        description="Bucket for generated paths and the code. Default: from the connection or the session.",
    )
    pipeline_name: str = Field(default="pytorch-training", description="Name of the SageMaker pipeline.")
    region: str | None = Field(default=None, description="AWS region. Default: from the connection or the session.")
    role_arn: str | None = Field(
        default=None, description="Role that SageMaker assumes. Default: from the connection or the session."
    )
    job_role_arn: str | None = Field(
        None, description="IAM role of the jobs, if different from the pipeline's. Default: `role_arn`."
    )
    partition: str = Field(
        default_factory=today_utc, description="Partition of the run. Default: that of the Airflow run, or today (UTC)."
    )
    source_dir: str = Field(
        default_factory=default_source_dir,
        description="Folder to upload (in a YAML file, relative to it). Default: the project's training/.",
    )
    framework_version: str = Field(
        default=images.DEFAULT_FRAMEWORK_VERSION, description="PyTorch version of the container."
    )
    py_version: str | None = Field(
        default=None,
        description="Python version of the container, if the image offers several (PyTorch 2.10 and older).",
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Tags of the pipeline and its jobs.")

    dependencies: References = Field(
        default=(),
        description='Steps that must complete first: "module:function" references that return a step. A processing '
        "step with outputs named train, val and test feeds the channels.",
    )
    followups: References = Field(
        default=(), description='Steps of the same pipeline that run last: "module:function" references.'
    )

    @property
    def partition_folder(self) -> str:
        """The partition as a part of paths (`partition_keys`)."""
        return self.partition if is_template(self.partition) else partition_folder(self.partition)

    @classmethod
    def kind_name(cls) -> str:
        """Return the value of `kind` in plain data."""
        return cls.kind or f"{cls.__module__}:{cls.__qualname__}"

    @classmethod
    def from_dict(cls, data: JsonMapping) -> Self:
        """Build the configuration from plain data. Raises ConfigurationError with all violations."""
        if isinstance(data, Mapping) and "kind" in data:
            if data["kind"] != cls.kind_name():
                raise ConfigurationError([Violation("kind", data["kind"], f"is not {cls.kind_name()!r}")])
            data = {name: value for name, value in data.items() if name != "kind"}
        return cls.model_validate(data)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Self:
        """Build the configuration from a YAML file. Raises ConfigurationError with the file and all violations."""
        content = read_yaml(path)
        try:
            return cls.from_dict(content)
        except ConfigurationError as error:
            raise ConfigurationError(error.violations, what=file_label(path)) from None

    def to_dict(self) -> JsonObject:
        """Return the explicit settings as JSON, from which `from_dict` builds the same configuration.

        For kinds other than training, it contains `kind`.
        """
        named = {} if self.kind == DEFAULT_KIND else {"kind": self.kind_name()}
        return named | self.model_dump(mode="json", exclude_unset=True)

    @property
    def jobs_role(self) -> str | None:
        """The role that jobs run under."""
        return self.job_role_arn or self.role_arn

    def completed(
        self,
        *,
        bucket: str | None = None,
        role_arn: str | None = None,
        region: str | None = None,
        partition: str | None = None,
    ) -> Self:
        """Return a copy with these values for settings that the configuration omits."""
        offered = {"bucket": bucket, "role_arn": role_arn, "region": region, "partition": partition}
        missing = {
            name: value
            for name, value in offered.items()
            if value and (name not in self.model_fields_set or getattr(self, name) is None)
        }
        return self.updated(**missing) if missing else self

    def require(self, names: Iterable[str]) -> None:
        """Raise ConfigurationError for each named field that is still missing or still contains a template."""
        violations = [self._missing(name) for name in names if getattr(self, name) is None]
        violations += [
            Violation(name, value, "still contains a template", "only the operator renders templates")
            for name, value in self
            if is_template(value)
        ]
        if violations:
            raise ConfigurationError(violations)

    @property
    def code_bucket(self) -> str | None:
        """The bucket that source code and drivers are uploaded to."""
        return self.bucket

    @property
    def generates_paths(self) -> bool:
        """Whether a path must be generated, which needs a bucket."""
        return any(getattr(self, name) is None for name in (*self.input_fields, *self.output_fields))

    def parameter_types(self) -> dict[str, str]:
        """Return the type (String or Integer) of each pipeline parameter by name; every start sets all of them.

        By default, a String for each of `run_fields`: `input_path` -> `InputPath`.
        """
        return dict.fromkeys(self._own_parameters(), "String")

    def pipeline_parameters(self, *, run_key: str | None = None) -> dict[str, str]:
        """Return the parameters of one run for StartPipelineExecution; `run_key` is unique to the run.

        Raises ConfigurationError if a value is missing.
        """
        own = self._own_parameters()
        self.require(own.values())
        return {parameter: str(getattr(self, field)) for parameter, field in own.items()}

    def _own_parameters(self) -> dict[str, str]:
        return {"".join(part.capitalize() for part in name.split("_")): name for name in sorted(self.run_fields)}

    def compile_request(self) -> JsonObject:
        """Return what determines the definition as plain data, which is passed to the compile process.

        `config` contains the fields that are part of the definition, other keys what else the kind's steps need.
        """
        static = self.model_dump(mode="json", exclude=set(self.run_fields))
        static["bucket"] = self.code_bucket
        static["source_dir"] = str(Path(self.source_dir).absolute())  # the compile process has its own folder
        return {"config": static}

    @classmethod
    def from_compile_request(cls, request: JsonMapping) -> Self:
        """Return a configuration with the request's static part, and placeholders for the values of a run."""
        required = {name for name, field in cls.model_fields.items() if field.is_required()}
        return cls(**{**dict.fromkeys(cls.run_fields & required, "given-at-start"), **request["config"]})

    def static_settings(self) -> JsonObject:
        """Return the settings that determine a definition and differ from the defaults.

        So they stay the same in versions of this package with more settings.
        """
        static = self.model_dump(mode="json", exclude={"source_dir", *self.run_fields}, exclude_defaults=True)
        static["bucket"] = self.code_bucket
        return static

    @property
    def own_image(self) -> str | None:
        """The user's image that replaces AWS's PyTorch container."""
        return None

    def compute(self) -> tuple[Compute, ...]:
        """Return the instances of a run, one entry for each job."""
        return ()

    def input_objects(self) -> dict[str, str]:
        """Return the S3 URIs of objects and folders that must exist before a start, by their names in messages."""
        return {}

    def resolved(self, registry_of: Callable[[str], ModelRegistry]) -> Self:
        """Return the configuration with values that only AWS knows, right before a start. By default, itself.

        `registry_of` returns the model registry of a model package group (`aws.model_registry`).
        """
        return self

    def source_violations(self) -> list[Violation]:
        """Return violations of the files to upload: these rules read the disk."""
        if Path(self.source_dir).is_dir():
            return []
        return [Violation("source_dir", self.source_dir, "is not a folder on this machine")]

    def for_test(self) -> Self:
        """Return the smallest run of the same definition, for mode="test"."""
        return self

    @classmethod
    def setting_path(cls, data: JsonMapping, name: str) -> list[str]:
        """Return the path in plain data of a setting that is given by its name, including its group."""
        return [name]

    def warnings(self) -> list[str]:
        """Return warnings about valid settings, one line each."""
        return []

    def _missing(self, name: str) -> Violation:
        hints = {
            "bucket": "set bucket, or service_config.s3.bucket_name in the connection's extra",
            "role_arn": "set role_arn, --role-arn, or service_config.sagemaker.execution_role_arn in the connection",
            "region": "set region, region_name in the connection's extra, or AWS_DEFAULT_REGION",
        }
        if name in (*self.input_fields, *self.output_fields):
            return Violation("bucket", MISSING, f"is needed to generate {name}", f"{hints['bucket']}, or set {name}")
        return Violation(name, MISSING, "is required here", hints.get(name, ""))
