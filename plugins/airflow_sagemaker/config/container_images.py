"""Which container image trains: derived from region, framework version and instance type, without the SDK."""

from __future__ import annotations

import difflib

from airflow_sagemaker.config.data import load_data
from airflow_sagemaker.config.instance_types import processor_of

DEFAULT_FRAMEWORK_VERSION = "2.10"
DEFAULT_PY_VERSION = "py313"


def version_problem(framework_version: str, py_version: str) -> str:
    """Return why there is no PyTorch image of these versions, or an empty string."""
    data = load_data("pytorch_images")
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
    known = _registries_of(framework_version)
    if region in known:
        return ""
    near = difflib.get_close_matches(region, sorted(known), n=1)
    return f"no PyTorch {framework_version} image is known there" + (f"; did you mean {near[0]}?" if near else "")


def training_image(region: str, instance_type: str, framework_version: str, py_version: str) -> str:
    """Return the URI of the PyTorch Deep Learning Container that fits the instance type.

    A GPU type always gets the GPU image and a CPU type the CPU image. Raises KeyError for an unknown region.
    """
    data = load_data("pytorch_images")
    account = _registries_of(framework_version)[region]
    tag = f"{framework_version}-{processor_of(instance_type)}-{py_version}"
    return f"{account}.dkr.ecr.{region}.{data['domains'][region]}/{data['repository']}:{tag}"


def debugger_rules_image(region: str) -> str | None:
    """Return the URI of the profiler's rule evaluator, or None where the service has none."""
    data = load_data("pytorch_images")
    account = data["debugger_rules"].get(region)
    return f"{account}.dkr.ecr.{region}.{data['domains'][region]}/sagemaker-debugger-rules:latest" if account else None


def _registries_of(framework_version: str) -> dict[str, str]:
    data = load_data("pytorch_images")
    full = data["aliases"].get(framework_version, framework_version)
    registries: dict[str, str] = data["registries"][data["versions"][full]["registries"]]
    return registries


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
