"""`smoke`: one small training in a real account through every call that the package makes.

It compares AWS's responses with docs/fidelity.md, row by row, and prints the differences. It creates its own pipeline,
trains for a few seconds on ml.m5.large, registers the model as a rejected package, and starts a second training, which
it stops. The pipeline, its executions, the model package and the objects below its name in the bucket are not deleted.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.executions import Execution, Executions
from airflow_sagemaker.aws.faults import error_code, error_text
from airflow_sagemaker.aws.job_logs import log_group, read_log_tail
from airflow_sagemaker.aws.model_registry import ModelRegistry
from airflow_sagemaker.aws.outcome import TAIL_LINES, read_outcome
from airflow_sagemaker.aws.stopping import stop_execution
from airflow_sagemaker.aws.training_search import search_request
from airflow_sagemaker.aws.versions import deploy_pipeline
from airflow_sagemaker.cli.online import POLL_SECONDS, EnvironmentTarget
from airflow_sagemaker.config.container_images import inference_image
from airflow_sagemaker.definition.compiler import compile_pipeline
from airflow_sagemaker.exceptions import MISSING, ConfigurationError, Violation
from airflow_sagemaker.wait.execution_watch import ExecutionWatch
from airflow_sagemaker.wait.progress_report import ProgressReport

if TYPE_CHECKING:
    import argparse

    from airflow_sagemaker.aws.responses import VersionPage
    from airflow_sagemaker.aws.versions import CompiledPipeline
    from airflow_sagemaker.cli.output import Output
    from airflow_sagemaker.types import JsonObject

PIPELINE = "airflow-sagemaker-smoke"
PURPOSE = "airflow-sagemaker smoke"
PROGRAM = """
import argparse, os, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
for epoch in range(parser.parse_known_args()[0].epochs):
    print(f"Train Loss: {1 / (epoch + 1):.6f}", flush=True)
    time.sleep(1)
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("smoke")
"""
SECONDS = 1800
"""How long a job may wait for its instance and run."""


@dataclass(frozen=True)
class Answer:
    """AWS's response to one call, and what docs/fidelity.md says; `row` is the one of that page."""

    row: str
    expected: str
    found: str

    @property
    def as_documented(self) -> bool:
        """Whether the response contains the expected text."""
        return self.expected.lower() in self.found.lower()

    def line(self) -> str:
        """The answer as text."""
        if self.as_documented:
            return f"as documented  {self.row}"
        return f"DIFFERENT      {self.row}: expected {self.expected!r}, found {self.found!r}"


def smoke(arguments: argparse.Namespace, output: Output) -> int:
    """Print how AWS responded; exit code 1 if a response differs from what is documented."""
    if not arguments.yes:
        rule = f"is required, because the command runs two jobs of about a minute on ml.m5.large in pipeline {PIPELINE}"
        raise ConfigurationError([Violation("--yes", MISSING, rule, "add --yes")], what="command line")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_text(PROGRAM)
        trial = Trial(_config(arguments, folder), arguments, output)
        answers = trial.answers()
    different = [answer for answer in answers if not answer.as_documented]
    lines = [answer.line() for answer in answers]
    lines.append(f"{len(answers) - len(different)} responses as documented, {len(different)} different")
    data = [vars(answer) | {"as_documented": answer.as_documented} for answer in answers]
    output.result({"ok": not different, "answers": data}, "\n".join(lines))
    return 1 if different else 0


def _config(arguments: argparse.Namespace, folder: str) -> PytorchTrainingConfig:
    given = {"bucket": arguments.bucket, "role_arn": arguments.role_arn, "region": arguments.region}
    config = PytorchTrainingConfig(
        **{name: value for name, value in given.items() if value},
        pipeline_name=PIPELINE,
        partition="smoke",
        source_dir=folder,
        training_instance_type="ml.m5.large",
        install_requirements=False,
        distribution="none",
        profiler=None,
        tags={"purpose": PURPOSE},
        max_runtime_seconds=SECONDS,
        hyperparameters={
            "id_name": "id", "label_name": "y", "full_field_list": ["id", "y", "a"], "tab_field_list": ["a"],
            "epochs": 3,
        },
    )  # fmt: skip
    config.require(["bucket", "role_arn", "region"])
    return config


class Trial:
    """The calls, in the order of their dependencies."""

    def __init__(self, config: PytorchTrainingConfig, arguments: argparse.Namespace, output: Output) -> None:
        self.config = config
        self.output = output
        self.sdk_python = arguments.sdk_python
        self.aws = Aws(
            EnvironmentTarget(aws_conn_id=None, region_name=config.region), output, patience=arguments.patience
        )
        self.executions = Executions(self.aws)

    def answers(self) -> list[Answer]:
        """All answers. An unexpected error is raised, because the calls after it would show nothing."""
        for uri in self.config.channel_uris().values():
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            self.aws.call("s3", "put_object", Bucket=bucket, Key=key, Body=b"PAR1")
        compiled = compile_pipeline(self.config, sdk_python=self.sdk_python)
        deploy_pipeline(self.aws, compiled)
        return [
            *self._of_versions(compiled),
            *self._of_a_removed_alias(compiled),
            *self._of_conditional_writes(),
            *self._of_a_training(compiled),
            *self._of_a_stop(compiled),
        ]

    def _of_versions(self, compiled: CompiledPipeline) -> list[Answer]:
        name, alias = compiled.pipeline_name, compiled.version_alias
        definition = {"PipelineDefinition": compiled.definition, "RoleArn": compiled.role_arn}
        return [
            self.asked(
                "Second CreatePipeline", "must be unique",
                "create_pipeline", PipelineName=name, ClientRequestToken=_token(), **definition,
            ),
            self.asked(
                "Aliases with an update that changes nothing", "ValidationException",
                "update_pipeline", PipelineName=name, PipelineVersionAliases=[alias], **definition,
            ),
            self.asked(
                "Start or Describe by an alias that no version has", "ResourceNotFound",
                "describe_pipeline", PipelineName=name, PipelineVersionAlias="no-such-alias",
            ),
            self.asked(
                "Unknown pipeline", "ResourceNotFound",
                "describe_pipeline", PipelineName=f"{name}-{uuid.uuid4().hex[:8]}",
            ),
        ]  # fmt: skip

    def _of_a_removed_alias(self, compiled: CompiledPipeline) -> list[Answer]:
        name, alias = compiled.pipeline_name, compiled.version_alias
        named = self.aws.call("sagemaker", "describe_pipeline", PipelineName=name, PipelineVersionAlias=alias)
        self.aws.call(
            "sagemaker", "update_pipeline_version", PipelineArn=named["PipelineArn"],
            PipelineVersionId=self._version(name, alias), PipelineVersionAliasOperations={"Remove": [alias]},
        )  # fmt: skip
        deploy_pipeline(self.aws, compiled)
        again = self.aws.call("sagemaker", "describe_pipeline", PipelineName=name, PipelineVersionAlias=alias)
        tags = self.aws.call("sagemaker", "list_tags", ResourceArn=again["PipelineArn"])["Tags"]
        listed = self.aws.call("sagemaker", "list_pipelines", PipelineNamePrefix=name)["PipelineSummaries"]
        return [
            Answer("a removed alias is added again", str(named["PipelineArn"]), str(again["PipelineArn"])),
            Answer("a pipeline's tags", PURPOSE, str(tags)),
            Answer("a pipeline in the list of pipelines", name, str([one["PipelineName"] for one in listed])),
        ]

    def _version(self, name: str, alias: str) -> int:
        """The version with this alias, among the latest hundred."""
        page: VersionPage = self.aws.call(
            "sagemaker", "list_pipeline_versions", PipelineName=name, SortOrder="Descending", MaxResults=100
        )
        versions = page["PipelineVersionSummaries"]
        return next(one["PipelineVersionId"] for one in versions if alias in one.get("PipelineVersionAliases", ()))

    def _of_conditional_writes(self) -> list[Answer]:
        """The conditional writes that the record on S3 needs with Airflow 3.2."""
        write: JsonObject = {"Bucket": self.config.bucket, "Key": f"{PIPELINE}/record", "Body": b""}
        current = self.aws.call("s3", "put_object", **write)["ETag"]
        return [
            self.asked(f"a write {when}", expected, "put_object", "s3", **write, **condition)
            for when, expected, condition in (
                ("if there is no object", "PreconditionFailed", {"IfNoneMatch": "*"}),
                ("over another version", "PreconditionFailed", {"IfMatch": f'"{"0" * 32}"'}),
                ("over this version", "accepted", {"IfMatch": current}),
            )
        ]

    def _of_a_training(self, compiled: CompiledPipeline) -> list[Answer]:
        token = _token()
        arn = self._started(compiled, token)
        again = self._started(compiled, token)
        answers = [
            Answer("`ClientRequestToken` again with the same parameters", arn, again),
            self.asked(
                "Unknown, missing or wrong parameters", "ValidationException",
                "start_pipeline_execution", PipelineName=compiled.pipeline_name, ClientRequestToken=_token(),
                PipelineVersionAlias=compiled.version_alias, PipelineParameters=[{"Name": "NoSuch", "Value": "x"}],
            ),
        ]  # fmt: skip
        self.output.note(f"waiting for {arn}")
        outcome = read_outcome(self.executions, self._ended(arn))
        lines = read_log_tail(self.aws, str(log_group("TrainingJob")), outcome.training_job_name, TAIL_LINES)
        answers += self._of_a_model_package(str(outcome.model_artifact))
        answers += [
            self.asked(
                "a processing job that does not exist", "ValidationException",
                "describe_processing_job", ProcessingJobName=_token(),
            ),
            self.asked(
                "a processing job without an image", "ValidationException",
                "create_processing_job", ProcessingJobName=_token(), RoleArn=self.config.role_arn,
                AppSpecification={"ImageUri": "no image"},
                ProcessingResources={"ClusterConfig": {
                    "InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10,
                }},
            ),
            self.asked(
                "a search for trainings by their model", "accepted", "search",
                **search_request(f"s3://{self.config.bucket}/{PIPELINE}/"),
            ),
            Answer("a training's status", "Succeeded", outcome.status),
            Answer("a training's last metric", "{'Train Loss': 0.3333", str(outcome.metrics)),
            Answer("a training's model", "model.tar.gz", outcome.model_artifact),
            Answer("a training's log", "Train Loss: 1.000000", " ".join(lines)),
            Answer("a training's parameters", "'HyperparameterEpochs': '3'", str(self.executions.parameters(arn))),
            Answer("a training's definition", '"HyperparameterEpochs"', self.executions.definition(arn)),
            Answer("a training in the list of executions", arn, str(self._listed(compiled))),
            self.asked(
                "Retry in a wrong state", "ConflictException",
                "retry_pipeline_execution", PipelineExecutionArn=arn, ClientRequestToken=_token(),
            ),
            self.asked(
                "Stop of an ended execution", "'Executing' status",
                "stop_pipeline_execution", PipelineExecutionArn=arn, ClientRequestToken=_token(),
            ),
        ]  # fmt: skip
        return answers

    def _of_a_model_package(self, model_artifact: str) -> list[Answer]:
        """A package as a promotion registers it; it stays in the group, rejected."""
        registry = ModelRegistry(self.aws, PIPELINE)
        container = {"Image": inference_image(str(self.config.region)), "ModelDataUrl": model_artifact}
        arn = registry.register({
            "ModelPackageGroupName": PIPELINE,
            "ModelPackageDescription": PURPOSE,
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        })  # fmt: skip
        registry.set_status(arn, "Rejected", PURPOSE)
        package = registry.describe(arn)
        return [
            Answer("a model package in the list of its group", arn, str([one.arn for one in registry.newest()])),
            Answer("a rejected model package", "Rejected", package.status if package else "it does not exist"),
        ]

    def _of_a_stop(self, compiled: CompiledPipeline) -> list[Answer]:
        arn = self._started(compiled, _token(), epochs=SECONDS)
        self.output.note(f"stopping {arn}")
        stop_execution(self.executions, arn, within=120)
        return [Answer("a stopped execution's status", "Stopped", self._ended(arn).status)]

    def _started(self, compiled: CompiledPipeline, token: str, **changes: object) -> str:
        given = self.config.hyperparameters.model_dump(exclude_unset=True) | changes
        parameters = self.config.updated(hyperparameters=given).pipeline_parameters()
        arn = self.executions.start(
            compiled.pipeline_name, version={"PipelineVersionAlias": compiled.version_alias}, display_name="smoke",
            token=token, parameters=parameters, description=PURPOSE,
        )  # fmt: skip
        return str(arn)

    def _listed(self, compiled: CompiledPipeline) -> list[str]:
        """The last executions."""
        since = datetime.now(UTC) - timedelta(days=1)
        return [one.arn for one in self.executions.listed(compiled.pipeline_name, created_after=since)]

    def _ended(self, arn: str) -> Execution:
        """Report the progress of an execution until it ends, or has not for twice the job's time limit."""
        deadline = time.monotonic() + 2 * SECONDS
        watch = ExecutionWatch(self.executions, arn, ProgressReport("logs"))
        return watch.poll_until_ended(POLL_SECONDS, lambda: time.monotonic() > deadline)

    def asked(self, row: str, expected: str, operation: str, service: str = "sagemaker", **given: object) -> Answer:
        """Return the response to a call that AWS should reject."""
        try:
            reply = self.aws.once(service, operation, **given)
        except Exception as error:
            return Answer(row, expected, f"{error_code(error)}: {error_text(error)}")
        return Answer(row, expected, f"accepted: {sorted(reply)}")


def _token() -> str:
    return uuid.uuid4().hex
