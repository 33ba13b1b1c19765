"""`doctor` and `smoke` against the local SageMaker, and behind a proxy that refuses."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.cli import main
from tests.support.fault_proxy import FaultProxy

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def file(local_aws: Any, config: PytorchTrainingConfig, tmp_path: Path) -> Path:
    name = f"doctor-{uuid.uuid4().hex[:8]}"
    local_aws.client("s3").create_bucket(Bucket=name)
    path = tmp_path / "training.yaml"
    path.write_text(yaml.safe_dump(config.updated(bucket=name, pipeline_name=name).to_dict()))
    return path


def examined(
    file: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, dict[str, tuple[str, str, str]]]:
    code = main(["doctor", str(file), "--json", "--patience", "1", *options])
    findings = json.loads(capsys.readouterr().out)["findings"]
    return code, {found["name"]: (found["state"], found["text"], found["advice"]) for found in findings}


def test_what_is_right_is_ok_and_nothing_is_started(
    file: Path, local_aws: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(file)]) == 0
    capsys.readouterr()
    code, found = examined(file, capsys)
    assert code == 0, found
    assert found["definition"][1].startswith("published as d-")
    assert found["bucket"][0] == "ok"
    permissions = {name: state for name, (state, _, _) in found.items() if name.startswith("permission ")}
    assert set(permissions.values()) == {"ok"}, found
    policy = json.loads((ROOT / "docs" / "iam" / "airflow-start-role.json").read_text())
    granted = [str(one["Action"]) for one in policy["Statement"]]
    granted = re.findall(r"\w+:\w+", " ".join(granted))
    assert [action for action in granted if not any(action in name for name in permissions)] == []
    name = yaml.safe_load(file.read_text())["pipeline_name"]
    assert local_aws.client("sagemaker").list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"] == []
    listed = local_aws.client("s3").list_objects_v2(Bucket=name)["Contents"]
    assert not [one["Key"] for one in listed if "doctor" in one["Key"].rpartition("/")[2]]


def test_a_missing_permission_is_named(
    file: Path, local_aws: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultProxy(local_aws.endpoint_url) as proxy:
        proxy.inject("StartPipelineExecution", "denied", times=9)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        code, found = examined(file, capsys)
    assert code == 1
    assert found["permission sagemaker:StartPipelineExecution"][0] == "bad"
    assert found["permission sagemaker:StopPipelineExecution"][0] == "ok"


def test_a_missing_bucket_and_a_missing_sdk_say_what_to_do(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined(file, capsys, "--param", "bucket=no-such-bucket-here", "--sdk-python", "/bin/false")
    assert code == 1
    assert found["bucket"][0] == "bad"
    assert found["definition"][0] == "bad"
    assert "airflow-sagemaker publish" in " ".join(found["definition"])


def test_an_old_image_is_a_warning(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = examined(file, capsys, "--param", "framework_version='2.9'")
    assert found["image"][0] == "warning"
    assert "since 2026-10-15" in found["image"][1]


def test_smoke_makes_every_call_and_finds_everything_as_documented(
    local_aws: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["smoke"]) == 2
    assert "--yes" in capsys.readouterr().err
    bucket = f"smoke-{uuid.uuid4().hex[:8]}"
    local_aws.client("s3").create_bucket(Bucket=bucket)
    role = "arn:aws:iam::123456789012:role/LocalSageMakerRole"
    with FaultProxy(local_aws.endpoint_url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        code = main(["smoke", "--yes", "--json", "--bucket", bucket, "--role-arn", role, "--region", "us-east-1"])
    said = json.loads(capsys.readouterr().out)
    assert code == 0, said
    assert [answer for answer in said["answers"] if not answer["as_documented"]] == []
    page = (ROOT / "docs" / "fidelity.md").read_text()
    rows = [answer["row"] for answer in said["answers"] if not answer["row"].startswith("a ")]
    assert len(rows) == 8
    assert [row for row in rows if f"| {row} |" not in page] == []
    policy = (ROOT / "docs" / "iam" / "airflow-role.json").read_text()
    calls = set(re.findall(r"(?:sagemaker|logs):([A-Z]\w*[a-z])", policy)) - {"AddTags"}  # goes with CreatePipeline
    assert calls - set(proxy.calls) == set()
