"""Rules for a job's request that are not in the service's model: unsupported values, and the service's rules across
members."""

from __future__ import annotations

from collections.abc import Iterator

from local_sagemaker.expressions.values import known_structure
from local_sagemaker.requests import tuning
from local_sagemaker.types import JsonObject, Request

DEFAULT_RUNTIME_SECONDS = 86400
"""MaxRuntimeInSeconds of a training or processing job that does not set it (documented: one day)."""
_ACCELERATORS = ("ml.trn", "ml.inf")
"""Instance types whose programs need AWS's Neuron compiler."""


def unsupported_values(operation: str, request: Request) -> Iterator[str]:
    """Yield a message for each unsupported value, with its path in the request.

    Expressions are skipped, so that a definition can be checked when it is created.
    """
    if operation == tuning.CREATE:
        yield from tuning.unsupported(request)
        for text in unsupported_values("CreateTrainingJob", tuning.training_definition(request) or {}):
            yield f"TrainingJobDefinition.{text}"
    find = {"CreateTrainingJob": _training, "CreateProcessingJob": _processing}.get(operation)
    for member, reason in find(request) if find else ():
        yield f"{member} is not supported by the local SageMaker: {reason}"


def broken_rules(operation: str, request: Request) -> Iterator[str]:
    """Yield a message for each of the service's rules that a request breaks."""
    if operation == "CreateTrainingJob":
        yield from _waiting_time(request)
        yield from _preferences(known_structure(request.get("ResourceConfig")), request)
    elif operation == "CreateProcessingJob":
        yield from _preferences(
            known_structure(known_structure(request.get("ProcessingResources")).get("ClusterConfig")), request
        )
    elif operation == tuning.CREATE:
        yield from tuning.broken_rules(request)
        yield from broken_rules("CreateTrainingJob", tuning.training_definition(request) or {})


def _structures(value: object) -> list[JsonObject]:
    return [known_structure(item) for item in value] if isinstance(value, list) else []


def _training(request: Request) -> Iterator[tuple[str, str]]:
    algorithm = known_structure(request.get("AlgorithmSpecification"))
    if algorithm.get("ContainerArguments") and not algorithm.get("ContainerEntrypoint"):
        advice = "there is no image whose entry point would receive them; set ContainerEntrypoint"
        yield "AlgorithmSpecification.ContainerArguments without ContainerEntrypoint", advice
    if algorithm.get("TrainingInputMode") == "Pipe":
        yield "AlgorithmSpecification.TrainingInputMode Pipe", "use File or FastFile"
    seen: set[str] = set()
    for number, channel in enumerate(_structures(request.get("InputDataConfig"))):
        yield from _channel(f"InputDataConfig[{number}]", channel)
        name = channel.get("ChannelName")
        if isinstance(name, str) and name in seen:
            yield f"InputDataConfig[{number}].ChannelName {name}", "another channel has this name and its folder"
        seen.add(str(name))
    resources = known_structure(request.get("ResourceConfig"))
    if resources.get("InstanceCount") == 0:
        yield "ResourceConfig.InstanceCount 0", "a job has at least one instance"
    yield from _instances("ResourceConfig", resources)


def _instances(where: str, cluster: JsonObject) -> Iterator[tuple[str, str]]:
    preferences = _structures(cluster.get("InstancePreferences"))
    places = [(where, cluster)]
    places += [(f"{where}.InstancePreferences[{number}]", item) for number, item in enumerate(preferences)]
    for place, item in places:
        kind = item.get("InstanceType")
        if isinstance(kind, str) and kind.startswith(_ACCELERATORS):
            yield f"{place}.InstanceType {kind}", "there is no Neuron compiler; use a type with CPUs or GPUs"


def _channel(where: str, channel: JsonObject) -> Iterator[tuple[str, str]]:
    source = channel.get("DataSource")
    if source == {}:
        yield f"{where}.DataSource without S3DataSource", "the data of a channel must be on S3"
    kind = known_structure(known_structure(source).get("S3DataSource")).get("S3DataType")
    if isinstance(kind, str) and kind not in {"S3Prefix", "ManifestFile"}:
        yield f"{where}.DataSource.S3DataSource.S3DataType {kind}", "use S3Prefix or ManifestFile"
    for member, value, advice in (
        ("InputMode", "Pipe", "use File or FastFile"),
        ("RecordWrapperType", "RecordIO", "omit it"),
        ("CompressionType", "Gzip", "omit it and decompress in the program"),
    ):
        if channel.get(member) == value:
            yield f"{where}.{member} {value}", advice


def _processing(request: Request) -> Iterator[tuple[str, str]]:
    if not known_structure(request.get("AppSpecification")).get("ContainerEntrypoint"):
        yield "AppSpecification without ContainerEntrypoint", "there is no container, so its own entry point cannot run"
    for number, item in enumerate(_structures(request.get("ProcessingInputs"))):
        yield from _s3_input(f"ProcessingInputs[{number}].S3Input", known_structure(item.get("S3Input")))
    yield from _instances("ProcessingResources.ClusterConfig", _processing_cluster(request))


def _processing_cluster(request: Request) -> JsonObject:
    return known_structure(known_structure(request.get("ProcessingResources")).get("ClusterConfig"))


def _s3_input(where: str, source: JsonObject) -> Iterator[tuple[str, str]]:
    if source and "LocalPath" not in source:
        yield f"{where} without LocalPath", "name a folder below /opt/ml/processing"
    for member, word, advice in (
        ("S3InputMode", "Pipe", "use File"),
        ("S3CompressionType", "Gzip", "omit it and decompress in the program"),
    ):
        if source.get(member) == word:
            yield f"{where}.{member} {word}", advice


def _waiting_time(request: Request) -> Iterator[str]:
    condition = known_structure(request.get("StoppingCondition"))
    runtime, wait = condition.get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_SECONDS), condition.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining") in (None, False):
        if wait is not None:
            yield "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true"
    elif wait is None or (isinstance(wait, int) and isinstance(runtime, int) and wait < runtime):
        yield "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"


def _preferences(cluster: JsonObject, request: Request) -> Iterator[str]:
    """The rules of InstancePreferences (API reference, ResourceConfig; the SDK's `validate_instance_preferences`)."""
    preferences = _structures(cluster.get("InstancePreferences"))
    if not preferences:
        return
    excluded = [f"{name}" for name in ("InstanceType",) if cluster.get(name)]
    excluded += ["EnableManagedSpotTraining"] if request.get("EnableManagedSpotTraining") is True else []
    if excluded:
        yield f"InstancePreferences cannot be used together with {' and '.join(excluded)}."
    types = [item.get("InstanceType") for item in preferences if isinstance(item.get("InstanceType"), str)]
    repeated = sorted({str(kind) for kind in types if types.count(kind) > 1})
    if repeated:
        yield f"InstancePreferences must not repeat an instance type: {', '.join(repeated)}."
    counts = ["InstanceCount" in item for item in preferences]
    if any(counts) if "InstanceCount" in cluster else not all(counts):
        yield "InstanceCount must be given either once, or in each of InstancePreferences."
