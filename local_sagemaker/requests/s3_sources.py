"""Finds S3 URIs without objects, which the service rejects when a job or model is created."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from local_sagemaker.s3.files import has_objects
from local_sagemaker.types import JsonObject, Request


def missing_sources(operation: str, request: Request, s3_dir: Path, region: str) -> Iterator[str]:
    """Yield the service's message for each source of a resolved request that does not exist."""
    if operation == "CreateTrainingJob":
        for channel in request.get("InputDataConfig") or []:
            uri = channel["DataSource"].get("S3DataSource", {}).get("S3Uri")
            if uri is not None and not has_objects(s3_dir, uri):
                yield _no_input(uri, request["RoleArn"], region)
    elif operation in _CONTAINERS:
        for uri in _model_data(_CONTAINERS[operation](request)):
            if not has_objects(s3_dir, uri):
                yield f"Could not find model data at {uri}."


def _no_input(uri: str, role: str, region: str) -> str:
    """The service's message (aws/amazon-sagemaker-examples #2267)."""
    bucket = uri.removeprefix("s3://").partition("/")[0]
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in'
        f" the selected region ({region}), that objects exist under that S3 prefix, and that the role"
        f' "{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )


def _model_data(containers: Iterable[JsonObject]) -> Iterator[str]:
    """The URIs of the containers' models; the message's source is aws/amazon-sagemaker-examples #4479."""
    for container in containers:
        if container.get("ModelDataUrl"):
            yield container["ModelDataUrl"]
        source = (container.get("ModelDataSource") or {}).get("S3DataSource")
        if source:
            yield source["S3Uri"]


def _containers_of_model(request: Request) -> Iterator[JsonObject]:
    if request.get("PrimaryContainer"):
        yield request["PrimaryContainer"]
    yield from request.get("Containers") or []


def _containers_of_package(request: Request) -> Iterator[JsonObject]:
    main = request.get("InferenceSpecification")
    for specification in [*([main] if main else []), *(request.get("AdditionalInferenceSpecifications") or [])]:
        yield from specification.get("Containers") or []


_CONTAINERS: Mapping[str, Callable[[Request], Iterable[JsonObject]]] = {
    "CreateModel": _containers_of_model,
    "CreateModelPackage": _containers_of_package,
}
