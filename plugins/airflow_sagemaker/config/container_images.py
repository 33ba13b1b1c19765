"""Which container image trains: derived from region, framework version and instance type, without the SDK."""

from __future__ import annotations

import difflib
from functools import cache

from airflow_sagemaker.config.data import load

DEFAULT_FRAMEWORK_VERSION = "2.10"
DEFAULT_PY_VERSION = "py313"


@cache
def training_instance_types() -> frozenset[str]:
    """Return the instance types that SageMaker training knows: the data file's, written from botocore's model."""
    return frozenset(load("instance_types")["training"])


def instance_type_problem(instance_type: str) -> str:
    """Return why an instance type cannot train, or an empty string.

    A type that the data file lacks is looked up in the installed botocore, which may be newer (0.2 s, only then).
    """
    if instance_type not in training_instance_types() and instance_type not in _newest_instance_types():
        near = difflib.get_close_matches(instance_type, sorted(training_instance_types()), n=1)
        return "is no instance type of SageMaker training" + (f"; did you mean {near[0]}?" if near else "")
    if processor(instance_type) == "neuron":
        return "is a Trainium or Inferentia type, which the PyTorch image does not run on"
    return ""


@cache
def _newest_instance_types() -> frozenset[str]:
    import botocore.session

    shape = botocore.session.get_session().get_service_model("sagemaker").shape_for("TrainingInstanceType")
    return frozenset(shape.enum)


def processor(instance_type: str) -> str:
    """Return `gpu`, `cpu` or `neuron` for an instance type, by its family as the SDK does it."""
    family = instance_type.split(".")[1] if "." in instance_type else instance_type
    if family.startswith(("trn", "inf")):
        return "neuron"
    return "gpu" if family[:1] in ("g", "p") else "cpu"


def version_problem(framework_version: str, py_version: str) -> str:
    """Return why there is no PyTorch image of these versions, or an empty string."""
    data = load("pytorch_images")
    full = data["aliases"].get(framework_version, framework_version)
    if full not in data["versions"]:
        known = ", ".join(sorted(data["aliases"], key=_as_numbers))
        return f"no PyTorch image of this version is known; known are {known}"
    offered = data["versions"][full]["py_versions"]
    if py_version not in offered:
        return f"the PyTorch {framework_version} image has {' or '.join(offered)}"
    return ""


def region_problem(region: str, framework_version: str) -> str:
    """Return why a region has no image of this version, or an empty string."""
    known = _registries(framework_version)
    if region in known:
        return ""
    near = difflib.get_close_matches(region, sorted(known), n=1)
    return f"no PyTorch {framework_version} image is known there" + (f"; did you mean {near[0]}?" if near else "")


def training_image(region: str, instance_type: str, framework_version: str, py_version: str) -> str:
    """Return the URI of the PyTorch Deep Learning Container that fits the instance type.

    A GPU type always gets the GPU image and a CPU type the CPU image. Raises KeyError for an unknown region.
    """
    data = load("pytorch_images")
    account = _registries(framework_version)[region]
    tag = f"{framework_version}-{processor(instance_type)}-{py_version}"
    return f"{account}.dkr.ecr.{region}.{data['domains'][region]}/{data['repository']}:{tag}"


def debugger_rules_image(region: str) -> str | None:
    """Return the URI of the profiler's rule evaluator, or None where the service has none."""
    data = load("pytorch_images")
    account = data["debugger_rules"].get(region)
    return f"{account}.dkr.ecr.{region}.{data['domains'][region]}/sagemaker-debugger-rules:latest" if account else None


def _registries(framework_version: str) -> dict[str, str]:
    data = load("pytorch_images")
    full = data["aliases"].get(framework_version, framework_version)
    registries: dict[str, str] = data["registries"][data["versions"][full]["registries"]]
    return registries


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
