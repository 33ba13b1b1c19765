"""The policy for the Airflow role holds the rights of the calls that are made, and no others."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import botocore.client
import pytest

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.cli import main

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "plugins" / "airflow_sagemaker"
SPECIAL = {"s3:HeadObject": "s3:GetObject", "s3:HeadBucket": "s3:ListBucket", "s3:ListObjectsV2": "s3:ListBucket"}
# Rights that go with a call: CreatePipeline hands the role over and may carry tags.
COMPANIONS = {"iam:PassRole", "sagemaker:AddTags"}


def action(service: str, operation: str) -> str:
    name = f"{service}:{operation}"
    return SPECIAL.get(name, name)


def allowed() -> set[str]:
    policy = json.loads((ROOT / "docs" / "iam" / "airflow-role.json").read_text())
    listed = [statement["Action"] for statement in policy["Statement"]]
    return {name for names in listed for name in (names if isinstance(names, list) else [names])}


def called_in_source() -> set[str]:
    """Every `call("service", "operation", ...)` of the package: all its calls go through Aws.call."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "call":
                names = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
                if len(names) == 2:
                    found.add(action(names[0], "".join(part.capitalize() for part in names[1].split("_"))))
    return found


def test_the_policy_is_what_the_source_calls() -> None:
    source = called_in_source()
    assert "sagemaker:StartPipelineExecution" in source  # the search finds something at all
    assert allowed() == source | COMPANIONS


def test_a_run_makes_no_call_that_the_policy_lacks(
    config: PytorchTrainingConfig, local_sagemaker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "rights"
    s3 = local_sagemaker.client("s3")
    s3.create_bucket(Bucket=name)
    config = config.updated(bucket=name, pipeline_name=name, distribution="none")
    for uri in config.channel_uris().values():
        s3.put_object(Bucket=name, Key=uri.removeprefix(f"s3://{name}/"), Body=b"rows")
    path = tmp_path / "training.yaml"
    path.write_text(json.dumps(config.to_dict()))  # JSON is YAML
    for variable, value in local_sagemaker.env.items():
        monkeypatch.setenv(variable, value)
    calls: set[str] = set()
    original = botocore.client.BaseClient._make_api_call

    def recorded(client: Any, operation: str, arguments: Any) -> Any:
        calls.add(action(client.meta.service_model.signing_name, operation))
        return original(client, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", recorded)
    assert main(["run", str(path), "--json"]) == 0
    assert main(["logs", str(path), "--json"]) == 0
    assert "sagemaker:StartPipelineExecution" in calls
    assert calls <= allowed()
