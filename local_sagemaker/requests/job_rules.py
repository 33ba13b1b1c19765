"""What a job's request may not hold here because it could not be honoured, or must not hold anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class UnsupportedMember:
    """One member of a request that cannot be honoured."""

    member: str
    reason: str

    def __str__(self) -> str:
        return f"{self.member} is not supported by the local SageMaker: {self.reason}"


def find_unsupported(operation: str, request: dict[str, Any]) -> list[UnsupportedMember]:
    """List every member of an action's request that cannot be honoured, by its path in the request.

    Values that are no plain data yet (a pipeline's references) are left alone, so a definition can be asked early.
    """
    find = {"CreateTrainingJob": _training, "CreateProcessingJob": _processing}.get(operation)
    return [UnsupportedMember(member, reason) for member, reason in find(request)] if find else []


def waiting_time_problems(request: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with MaxWaitTimeInSeconds of a CreateTrainingJob request, in the service's words."""
    condition = _members(request.get("StoppingCondition"))
    runtime, wait = condition.get("MaxRuntimeInSeconds", 86400), condition.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining") in (None, False):
        if wait is not None:
            yield "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true"
    elif wait is None or (isinstance(wait, int) and isinstance(runtime, int) and wait < runtime):
        yield "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"


def _members(value: Any) -> dict[str, Any]:
    """Return a structure as it is, and nothing for what is none (yet): a reference, or a mistake the API refuses."""
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[dict[str, Any]]:
    return [_members(item) for item in value] if isinstance(value, list) else []


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict)


def _training(request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    algorithm = _members(request.get("AlgorithmSpecification"))
    if algorithm.get("AlgorithmName"):
        yield (
            "AlgorithmSpecification.AlgorithmName",
            "algorithms of the Marketplace are not here, give a training image",
        )
    elif not algorithm.get("ContainerEntrypoint"):
        hyperparameters = _members(request.get("HyperParameters"))
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
    seen: set[str] = set()
    for number, channel in enumerate(_items(request.get("InputDataConfig"))):
        yield from _channel(f"InputDataConfig[{number}]", channel)
        name = channel.get("ChannelName")
        if isinstance(name, str) and name in seen:
            yield f"InputDataConfig[{number}].ChannelName {name}", "another channel has this name and its folder"
        seen.add(str(name))
    resources = _members(request.get("ResourceConfig"))
    for name, reason in (
        ("KeepAlivePeriodInSeconds", "there are no warm pools"),
        ("InstanceGroups", "there are no heterogeneous clusters"),
        ("TrainingPlanArn", "there are no training plans"),
    ):
        if resources.get(name) and not _is_reference(resources[name]):
            yield f"ResourceConfig.{name}", reason
    if resources.get("InstanceCount") == 0:
        yield "ResourceConfig.InstanceCount 0", "a job has at least one instance"
    if request.get("TensorBoardOutputConfig"):
        yield "TensorBoardOutputConfig", "write to /opt/ml/output or to S3"
    if request.get("EnableNetworkIsolation") is True:
        yield "EnableNetworkIsolation", "jobs share this machine's network"


def _channel(where: str, channel: dict[str, Any]) -> Iterator[tuple[str, str]]:
    source = _members(channel.get("DataSource"))
    for name in source:
        if name not in {"S3DataSource", "Get", "Std:Join", "Std:JsonGet"}:
            yield f"{where}.DataSource.{name}", "use S3DataSource"
    if not source and isinstance(channel.get("DataSource"), dict):
        yield f"{where}.DataSource without S3DataSource", "a channel's data come from S3"
    kind = _members(source.get("S3DataSource")).get("S3DataType")
    if isinstance(kind, str) and kind not in {"S3Prefix", "ManifestFile"}:
        yield f"{where}.DataSource.S3DataSource.S3DataType {kind}", "use S3Prefix or ManifestFile"
    for member, value, advice in (
        ("InputMode", "Pipe", "use File or FastFile"),
        ("RecordWrapperType", "RecordIO", "leave it out"),
        ("CompressionType", "Gzip", "leave it out and decompress in the program"),
    ):
        if channel.get(member) == value:
            yield f"{where}.{member} {value}", advice


def _s3_input(where: str, value: Any) -> Iterator[tuple[str, str]]:
    source = _members(value)
    if source and "LocalPath" not in source and not source.keys() & {"Get", "Std:Join", "Std:JsonGet"}:
        yield f"{where} without LocalPath", "name a folder below /opt/ml/processing"
    for member, word, advice in (
        ("S3InputMode", "Pipe", "use File"),
        ("S3CompressionType", "Gzip", "leave it out and decompress in the program"),
    ):
        if source.get(member) == word:
            yield f"{where}.{member} {word}", advice


def _processing(request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not _members(request.get("AppSpecification")).get("ContainerEntrypoint"):
        yield "AppSpecification without ContainerEntrypoint", "there is no container, so its own entry point cannot run"
    for number, item in enumerate(_items(request.get("ProcessingInputs"))):
        if "DatasetDefinition" in item:
            yield f"ProcessingInputs[{number}].DatasetDefinition", "use S3Input"
        yield from _s3_input(f"ProcessingInputs[{number}].S3Input", item.get("S3Input"))
    outputs = _members(request.get("ProcessingOutputConfig")).get("Outputs")
    for number, item in enumerate(_items(outputs)):
        if "FeatureStoreOutput" in item:
            yield f"ProcessingOutputConfig.Outputs[{number}].FeatureStoreOutput", "use S3Output"
    if _members(request.get("NetworkConfig")).get("EnableNetworkIsolation") is True:
        yield "NetworkConfig.EnableNetworkIsolation", "jobs share this machine's network"
