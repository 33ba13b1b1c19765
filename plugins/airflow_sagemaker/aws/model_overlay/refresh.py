"""Write the overlay again from the installed botocore: `python -m airflow_sagemaker.aws.model_overlay.refresh`."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.model_overlay import FOLDER

if TYPE_CHECKING:
    from airflow_sagemaker.types import JsonObject, JsonValue

FILE = FOLDER / "sagemaker" / "2017-07-24" / "service-2.sdk-extras.json"
ALIAS = "PipelineVersionAlias"
SELECTED = "SelectedInstance"
"""Members of ResourceConfig: which of several instance types a job got."""


def build_overlay(model: JsonObject) -> JsonObject:
    """Return what this package needs of botocore's model of SageMaker and an older one lacks, without the prose."""
    shapes = {}
    for name, shape in model["shapes"].items():
        if name.startswith(ALIAS) or name == "AliasOperations":
            shapes[name] = _without_prose(shape)
            continue
        members = {
            member: _without_prose(described)
            for member, described in shape.get("members", {}).items()
            if member.startswith(ALIAS) or (name == "ResourceConfig" and member.startswith(SELECTED))
        }
        if members:
            shapes[name] = {"members": members}
    return {"version": 1.0, "merge": {"shapes": shapes}}


def _without_prose(value: JsonValue) -> JsonValue:
    if not isinstance(value, dict):
        return value
    return {key: _without_prose(inner) for key, inner in value.items() if key != "documentation"}


def main() -> None:
    """Write the file. SystemExit when the installed botocore does not know the aliases."""
    import botocore.loaders

    made = build_overlay(botocore.loaders.Loader().load_service_model("sagemaker", "service-2"))
    if not made["merge"]["shapes"]:
        raise SystemExit(f"botocore {version('botocore')} has no pipeline version aliases; install 1.44 or later")
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{FILE.name}: {len(made['merge']['shapes'])} shapes of botocore {version('botocore')}\n")


if __name__ == "__main__":
    main()
