"""Write the data files again from the installed botocore and SDK: `python -m airflow_sagemaker.config.data.refresh`."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import botocore.session

HERE = Path(__file__).parent
OLDEST = (2, 0)  # PyTorch 1.x containers lack Python 3.10, which the SDK's drivers need


def instance_types() -> dict[str, Any]:
    """Return every instance type that the installed botocore lists for training jobs."""
    shape = botocore.session.get_session().get_service_model("sagemaker").shape_for("TrainingInstanceType")
    return {"source": f"botocore {version('botocore')}, TrainingInstanceType", "training": sorted(shape.enum)}


def pytorch_images() -> dict[str, Any]:
    """Return versions, Python versions, registry accounts and domains of the PyTorch training images."""
    listed = _sdk_file("pytorch")["training"]
    registries: list[dict[str, str]] = []
    versions: dict[str, Any] = {}
    for name, entry in listed["versions"].items():
        if tuple(int(part) for part in name.split(".")[:2]) < OLDEST:
            continue
        if entry["registries"] not in registries:
            registries.append(entry["registries"])
        versions[name] = {"py_versions": entry["py_versions"], "registries": registries.index(entry["registries"])}
    regions = sorted({region for table in registries for region in table})
    return {
        "source": f"sagemaker {version('sagemaker')}, image_uri_config/pytorch.json and debugger.json",
        "repository": "pytorch-training",
        "versions": versions,
        "aliases": {alias: full for alias, full in listed["version_aliases"].items() if full in versions},
        "registries": registries,
        "domains": {region: _ecr_domain(region) for region in regions},
        "debugger_rules": _sdk_file("debugger")["versions"]["latest"]["registries"],
    }


def _sdk_file(name: str) -> dict[str, Any]:
    spec = find_spec("sagemaker")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("install the SageMaker SDK first")
    path = Path(next(iter(spec.submodule_search_locations))) / "core" / "image_uri_config" / f"{name}.json"
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _ecr_domain(region: str) -> str:
    """Return the domain behind `ecr.<region>.`, as the SDK finds it."""
    from botocore.regions import EndpointResolver

    loader = botocore.session.get_session().get_component("data_loader")
    found = EndpointResolver(loader.load_data("endpoints")).construct_endpoint("ecr", region)
    suffix: str = found["dnsSuffix"] if found else "amazonaws.com"
    return suffix


def main() -> None:
    """Write both files."""
    for name, content in (("instance_types", instance_types()), ("pytorch_images", pytorch_images())):
        (HERE / f"{name}.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
        sys.stdout.write(f"{name}.json: {content['source']}\n")


if __name__ == "__main__":
    main()
