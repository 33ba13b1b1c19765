"""What the local SageMaker cannot run, refused by name: at Create where the API asks, at the latest at the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local_sagemaker.jobs.spec import JobKind


@dataclass(frozen=True)
class UnsupportedMember:
    """One member of a request that cannot be honoured."""

    member: str
    reason: str

    def __str__(self) -> str:
        return f"{self.member} is not supported by the local SageMaker: {self.reason}"


def find_unsupported(kind: JobKind, request: dict[str, Any]) -> list[UnsupportedMember]:
    """List every member of a resolved Create*Job request that cannot be honoured, by its path in the request.

    Values that are no plain data yet (a pipeline's references) are left alone, so a definition can be asked early.
    """
    members = _training(request) if kind == "training" else _processing(request)
    return [UnsupportedMember(member, reason) for member, reason in members]


def _training(request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    algorithm = request.get("AlgorithmSpecification") or {}
    if algorithm.get("AlgorithmName"):
        yield (
            "AlgorithmSpecification.AlgorithmName",
            "algorithms of the Marketplace are not here; give a training image",
        )
    elif not algorithm.get("ContainerEntrypoint"):
        hyperparameters = request.get("HyperParameters") or {}
        names = [n for n in ("sagemaker_program", "sagemaker_submit_directory") if n in hyperparameters]
        detail = (
            f"hyperparameters {', '.join(names)} of the training toolkit" if names else "an image's own entry point"
        )
        yield (
            "AlgorithmSpecification without ContainerEntrypoint",
            f"there is no container, so {detail} cannot run; ModelTrainer of the SDK v3 sets ContainerEntrypoint",
        )
    if algorithm.get("TrainingInputMode") == "Pipe":
        yield "AlgorithmSpecification.TrainingInputMode Pipe", "use File or FastFile"
    for number, channel in enumerate(request.get("InputDataConfig") or []):
        yield from _channel(f"InputDataConfig[{number}]", channel)
    resources = request.get("ResourceConfig") or {}
    for name, reason in (
        ("KeepAlivePeriodInSeconds", "there are no warm pools"),
        ("InstanceGroups", "there are no heterogeneous clusters"),
        ("TrainingPlanArn", "there are no training plans"),
    ):
        if resources.get(name):
            yield f"ResourceConfig.{name}", reason
    if request.get("TensorBoardOutputConfig"):
        yield "TensorBoardOutputConfig", "write to /opt/ml/output or to S3"
    if request.get("EnableNetworkIsolation") is True:
        yield "EnableNetworkIsolation", "jobs share this machine's network"


def _channel(where: str, channel: dict[str, Any]) -> Iterator[tuple[str, str]]:
    source = channel.get("DataSource") or {}
    if "FileSystemDataSource" in source:
        yield f"{where}.DataSource.FileSystemDataSource", "use S3DataSource"
    s3 = source.get("S3DataSource") or {}
    if s3.get("S3DataType") in {"AugmentedManifestFile", "Converse"}:
        yield f"{where}.DataSource.S3DataSource.S3DataType {s3['S3DataType']}", "use S3Prefix or ManifestFile"
    if channel.get("InputMode") == "Pipe":
        yield f"{where}.InputMode Pipe", "use File or FastFile"
    if channel.get("RecordWrapperType") == "RecordIO":
        yield f"{where}.RecordWrapperType RecordIO", "leave it out"
    if channel.get("CompressionType") == "Gzip":
        yield f"{where}.CompressionType Gzip", "leave it out and decompress in the program"


def _processing(request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not (request.get("AppSpecification") or {}).get("ContainerEntrypoint"):
        yield "AppSpecification without ContainerEntrypoint", "there is no container, so its own entry point cannot run"
    for number, item in enumerate(request.get("ProcessingInputs") or []):
        if "DatasetDefinition" in item:
            yield f"ProcessingInputs[{number}].DatasetDefinition", "use S3Input"
        if (item.get("S3Input") or {}).get("S3InputMode") == "Pipe":
            yield f"ProcessingInputs[{number}].S3Input.S3InputMode Pipe", "use File"
    outputs = (request.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    for number, item in enumerate(outputs):
        if "FeatureStoreOutput" in item:
            yield f"ProcessingOutputConfig.Outputs[{number}].FeatureStoreOutput", "use S3Output"
    if (request.get("NetworkConfig") or {}).get("EnableNetworkIsolation") is True:
        yield "NetworkConfig.EnableNetworkIsolation", "jobs share this machine's network"
