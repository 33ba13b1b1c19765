"""Write the data files again from the installed botocore and SDK: `python -m airflow_sagemaker.config.data.refresh`."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import botocore.session

from airflow_sagemaker.types import JsonObject

HERE = Path(__file__).parent
OLDEST = (2, 0)  # PyTorch 1.x containers lack Python 3.10, which the SDK's drivers need
FAMILIES = ("pytorch", "pytorch-amzn2023")
"""The SDK's names of the containers, the older ones on Ubuntu first."""
END_OF_PATCH = {
    "2.6": "2026-01-29",
    "2.7": "2026-04-23",
    "2.8": "2026-08-06",
    "2.9": "2026-10-15",
    "2.10": "2027-01-21",
    "2.11": "2027-04-30",
    "2.12": "2027-07-02",
    "2.13": "2027-07-20",
}
"""Last day of security patches of the training images; older ones have none, of newer ones it is not published yet.

Source, to be checked at each refresh: https://aws.github.io/deep-learning-containers/reference/support_policy/ and
docs/src/data of github.com/aws/deep-learning-containers, August 2026.
"""


def instance_types() -> JsonObject:
    """Return every instance type that the installed botocore lists for training jobs."""
    shape = botocore.session.get_session().get_service_model("sagemaker").shape_for("TrainingInstanceType")
    return {"source": f"botocore {version('botocore')}, TrainingInstanceType", "training": sorted(shape.enum)}


def pytorch_images() -> JsonObject:
    """Return the PyTorch training images: versions, tags, registry accounts, domains and the end of their patches."""
    registries: list[dict[str, str]] = []
    versions: JsonObject = {}
    aliases: dict[str, str] = {}
    for family in FAMILIES:
        listed = _sdk_file(family)["training"]
        for name, entry in listed["versions"].items():
            if tuple(int(part) for part in name.split(".")[:2]) < OLDEST:
                continue
            if entry["registries"] not in registries:
                registries.append(entry["registries"])
            versions[name] = _image(entry) | {"registries": registries.index(entry["registries"])}
            aliases[".".join(name.split(".")[:2])] = name
    regions = sorted({region for table in registries for region in table})
    return {
        "source": f"sagemaker {version('sagemaker')}, image_uri_config/{{{','.join(FAMILIES)},debugger}}.json",
        "default": _sdk_file(FAMILIES[-1])["training"]["version_aliases"]["latest"],
        "versions": versions,
        "aliases": aliases,
        "registries": registries,
        "domains": {region: _ecr_domain(region) for region in regions},
        "debugger_rules": _sdk_file("debugger")["versions"]["latest"]["registries"],
        "end_of_patch": END_OF_PATCH,
    }


def _image(entry: JsonObject) -> JsonObject:
    """Return repository, tags and Python versions of one version's images.

    In a tag {version} stands for the version as it is asked for, {py} for one of the Python versions; the images on
    Amazon Linux 2023 have tags of their own and one Python each, which is not part of the tag.
    """
    if "tag_prefix" in entry:
        tags = {kind: f"{entry['tag_prefix']}-{tail}" for kind, tail in entry["container_version"].items()}
    else:
        tags = {kind: f"{{version}}-{kind}-{{py}}" for kind in ("cpu", "gpu")}
    return {"repository": entry["repository"], "tags": tags, "py_versions": entry.get("py_versions", [])}


def _sdk_file(name: str) -> JsonObject:
    spec = find_spec("sagemaker")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("install the SageMaker SDK first")
    path = Path(next(iter(spec.submodule_search_locations))) / "core" / "image_uri_config" / f"{name}.json"
    content: JsonObject = json.loads(path.read_text())
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
