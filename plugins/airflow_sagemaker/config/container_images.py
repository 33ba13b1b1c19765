"""Container images, derived from region, framework version and instance type without the SDK."""

from __future__ import annotations

import datetime
import difflib

from airflow_sagemaker.config.data import load_data
from airflow_sagemaker.config.instance_types import processor_of
from airflow_sagemaker.types import JsonObject

DEFAULT_FRAMEWORK_VERSION: str = load_data("pytorch_images")["default"]
"""The newest one that the SageMaker SDK lists."""
INFERENCE_VERSION = "2.6"
INFERENCE_TAG = "2.6-cpu-py312"
"""The newest PyTorch inference container that the SageMaker SDK lists; its security patches ended on 2026-06-30."""
WARN_BEFORE = datetime.timedelta(days=90)
"""How long before the end of an image's security patches `validate` warns."""


def version_problem(framework_version: str, py_version: str | None) -> tuple[str, str] | None:
    """Return the invalid field and its rule if there is no PyTorch image of these versions."""
    data = load_data("pytorch_images")
    image = _image_of(framework_version)
    if image is None:
        known = ", ".join(sorted(data["aliases"], key=_as_numbers))
        return "framework_version", f"must be a version with a known PyTorch image: {known}"
    offered = image["py_versions"]
    if py_version is None or py_version in offered:
        return None
    if not offered:
        return "py_version", f"the PyTorch {framework_version} image has only one Python version; remove py_version"
    return "py_version", f"the PyTorch {framework_version} image has {' or '.join(offered)}"


def last_patch_day(framework_version: str) -> str:
    """Return the last day of an image's security patches (ISO 8601); empty if it is not published."""
    return str(load_data("pytorch_images")["end_of_patch"].get(".".join(framework_version.split(".")[:2]), ""))


def patch_warning(framework_version: str, today: datetime.date) -> str:
    """Return a warning if an image gets no security patches, or not for much longer; otherwise an empty string."""
    data = load_data("pytorch_images")
    ends = data["end_of_patch"]
    name = ".".join(framework_version.split(".")[:2])
    newest = data["default"]
    advice = f"framework_version: '{newest}' is the newest image"
    if name not in ends:
        if _as_numbers(name) < min(_as_numbers(known) for known in ends):
            return f"the PyTorch {name} image no longer receives security patches; {advice}"
        return ""  # newer than the published dates
    last = datetime.date.fromisoformat(ends[name])
    if today > last:
        return f"the PyTorch {name} image has had no security patches since {last}; {advice}"
    if today > last - WARN_BEFORE:
        return f"the PyTorch {name} image receives no security patches after {last}; {advice}"
    return ""


def region_problem(region: str, framework_version: str) -> str:
    """Return why a region has no image of this version, or an empty string."""
    known = _registries_of(framework_version)
    if region in known:
        return ""
    near = difflib.get_close_matches(region, sorted(known), n=1)
    aliases = sorted(load_data("pytorch_images")["aliases"], key=_as_numbers)
    there = [version for version in aliases if region in _registries_of(version)]
    other = f"; its newest is {there[-1]}" if there else f"; did you mean {near[0]}?" if near else ""
    return f"no PyTorch {framework_version} image is known in this region{other}"


def training_image(region: str, instance_type: str, framework_version: str, py_version: str | None = None) -> str:
    """Return the URI of the PyTorch Deep Learning Container for an instance type: the GPU or the CPU image.

    The default `py_version` is the image's newest. Raises KeyError for an unknown region or version.
    """
    data = load_data("pytorch_images")
    account = _registries_of(framework_version)[region]
    image = _image_of(framework_version)
    if image is None:
        raise KeyError(framework_version)
    py = py_version or max(image["py_versions"], default="")
    tag = image["tags"][processor_of(instance_type)].format(version=framework_version, py=py)
    return f"{account}.dkr.ecr.{region}.{data['domains'][region]}/{image['repository']}:{tag}"


def inference_image(region: str) -> str:
    """Return the URI of the container that serves a PyTorch model on a CPU. Raises KeyError for an unknown region."""
    data = load_data("pytorch_images")
    account = _registries_of(INFERENCE_VERSION)[region]
    return f"{account}.dkr.ecr.{region}.{data['domains'][region]}/pytorch-inference:{INFERENCE_TAG}"


def debugger_rules_image(region: str) -> str | None:
    """Return the URI of the profiler's rule evaluator, None if the region has none."""
    data = load_data("pytorch_images")
    account = data["debugger_rules"].get(region)
    return f"{account}.dkr.ecr.{region}.{data['domains'][region]}/sagemaker-debugger-rules:latest" if account else None


def _image_of(framework_version: str) -> JsonObject | None:
    data = load_data("pytorch_images")
    found: JsonObject | None = data["versions"].get(data["aliases"].get(framework_version, framework_version))
    return found


def _registries_of(framework_version: str) -> dict[str, str]:
    image = _image_of(framework_version)
    registries: list[dict[str, str]] = load_data("pytorch_images")["registries"]
    return registries[image["registries"]] if image is not None else {}


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
