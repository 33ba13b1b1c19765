"""The policies for both roles hold the rights of the calls that are made, and no others."""

from __future__ import annotations

import ast
import json
import sys
import threading
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import botocore.client
import pytest

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.cli import main
from airflow_sagemaker.definition.compiler import compile_pipeline
from local_sagemaker.jobs.spec import JobSpec
from local_sagemaker.jobs.supervisor import JobSupervisor

from .harness import step, substituted

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "plugins" / "airflow_sagemaker"
SPECIAL = {"s3:HeadObject": "s3:GetObject", "s3:HeadBucket": "s3:ListBucket", "s3:ListObjectsV2": "s3:ListBucket"}
# Rights that go with a call: CreatePipeline hands the role over and may carry tags.
COMPANIONS = {"iam:PassRole", "sagemaker:AddTags"}


def action(service: str, operation: str) -> str:
    name = f"{service}:{operation}"
    return SPECIAL.get(name, name)


# What SageMaker does under the execution role and no local run can show: the pipeline's calls for its training step,
# and the image and the metrics of the job, as "SageMaker Roles" of its developer guide lists them.
BY_THE_SERVICE = {
    "sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob", "sagemaker:AddTags",
    "iam:PassRole", "cloudwatch:PutMetricData", "logs:DescribeLogStreams", "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
    "s3:AbortMultipartUpload",  # of an artifact whose upload is given up
    "s3:DeleteObject",  # see the page beside the policies
}  # fmt: skip
WRITES = """
import pathlib
checkpoints = pathlib.Path("/opt/ml/checkpoints")
assert (checkpoints / "old.pt").read_text() == "of an earlier run"
(checkpoints / "new.pt").write_text("new")
pathlib.Path("/opt/ml/output/data/report.json").write_text("{}")
pathlib.Path("/opt/ml/model/model.pt").write_text("model")
print("written")
"""


def as_list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def statements(name: str) -> list[dict[str, Any]]:
    return list(json.loads((ROOT / "docs" / "iam" / f"{name}.json").read_text())["Statement"])


def allowed(name: str = "airflow-role") -> set[str]:
    return {action for statement in statements(name) for action in as_list(statement["Action"])}


def allows(name: str, action: str, resource: str, words: Mapping[str, str]) -> bool:
    """Whether the policy, its words in capitals replaced, allows an action on a resource."""
    text = json.dumps([s for s in statements(name) if action in as_list(s["Action"])])
    for word, value in words.items():
        text = text.replace(word, value)
    patterns = [pattern for statement in json.loads(text) for pattern in as_list(statement["Resource"])]
    return any(fnmatchcase(resource, pattern) for pattern in patterns)


def resource_of(service: str, arguments: Mapping[str, Any]) -> str:
    if service == "s3":
        return "arn:aws:s3:::" + "/".join(arguments[key] for key in ("Bucket", "Key") if key in arguments)
    assert service == "logs", service
    return f"arn:aws:logs:us-east-1:123456789012:log-group:{arguments['logGroupName']}:stream"


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


class Ends:
    """The API side's place: waits for a job's end."""

    def __init__(self) -> None:
        self.changes: dict[str, Any] = {}
        self.ended = threading.Event()

    def changed(self, arn: str, changes: Mapping[str, Any]) -> None:
        self.changes.update(changes)
        if changes.get("TrainingJobStatus") in {"Completed", "Failed", "Stopped"}:
            self.ended.set()


def test_a_job_makes_no_call_that_the_execution_role_lacks(
    config: PytorchTrainingConfig, local_sagemaker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped definition's job with code, channels, a checkpoint to resume from, a report, a model and a log."""
    bucket = "execution-rights"
    (Path(config.source_dir) / "train.py").write_text(WRITES)
    config = config.updated(bucket=bucket, pipeline_name=bucket, distribution="none")
    compiled = compile_pipeline(config)
    s3 = local_sagemaker.client("s3")
    s3.create_bucket(Bucket=bucket)
    for upload in compiled.uploads:
        s3.put_object(Bucket=bucket, Key=upload.key, Body=Path(upload.path).read_bytes())
    for uri in (*config.channel_uris().values(), f"{config.checkpoint_path}/old.pt"):
        s3.put_object(Bucket=bucket, Key=uri.removeprefix(f"s3://{bucket}/"), Body=b"of an earlier run")
    request = substituted(step(compiled.definition)["Arguments"], config.pipeline_parameters())

    calls: set[tuple[str, str]] = set()
    original = botocore.client.BaseClient._make_api_call

    def recorded(client: Any, operation: str, arguments: Any) -> Any:
        service = client.meta.service_model.signing_name
        calls.add((action(service, operation), resource_of(service, arguments)))
        return original(client, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", recorded)
    ends = Ends()
    supervisor = JobSupervisor(
        tmp_path / "jobs", client_env=local_sagemaker.env, events=ends, max_jobs=1, job_python=sys.executable,
        stop_grace_seconds=1,
    )  # fmt: skip
    try:
        arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/rights"
        supervisor.submit(JobSpec("training", "rights", arn, {"TrainingJobName": "rights", **request}))
        assert ends.ended.wait(120)
    finally:
        supervisor.shutdown()
    assert ends.changes["TrainingJobStatus"] == "Completed", ends.changes

    words = {"BUCKET": bucket, "PIPELINE_NAME": bucket, "REGION": "us-east-1", "ACCOUNT": "123456789012"}
    refused = [call for call in calls if not allows("execution-role", *call, words)]
    assert refused == []
    written = {resource.split("/")[2] for name, resource in calls if name == "s3:PutObject"}
    assert written == {"output", "checkpoints"}, "both places that the policy lets a job write to"
    assert allowed("execution-role") == {name for name, _ in calls} | BY_THE_SERVICE
    assert not allows("execution-role", "s3:PutObject", f"arn:aws:s3:::{bucket}/{bucket}/code/x", words)
    registry, _, image = config.image().partition("/")
    image_arn = f"arn:aws:ecr:us-east-1:{registry.split('.')[0]}:repository/{image.split(':')[0]}"
    assert allows("execution-role", "ecr:BatchGetImage", image_arn, words)
