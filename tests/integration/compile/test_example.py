"""The shipped example: the model is registered only if its AUC beats the threshold."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.compiler import compile_pipeline

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.mark.parametrize(("auc", "status"), [("0.91", "Succeeded"), ("0.55", "Failed")])
def test_registration_follows_the_metric(
    config: PytorchTrainingConfig, local_sagemaker: Any, monkeypatch: pytest.MonkeyPatch, auc: str, status: str
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    name = f"example-{status.lower()}"
    program = Path(config.source_dir) / "train.py"
    program.write_text(re.sub(r"0\.512345", auc, program.read_text()))
    config = config.updated(bucket=name, pipeline_name=name, followups=["register_if_good:register_if_good"])
    s3, sagemaker = local_sagemaker.client("s3"), local_sagemaker.client("sagemaker")
    s3.create_bucket(Bucket=name)
    for uri in config.channel_uris().values():
        s3.put_object(Bucket=name, Key=uri.removeprefix(f"s3://{name}/"), Body=b"rows")
    compiled = compile_pipeline(config)
    for upload in compiled.uploads:
        s3.put_object(Bucket=upload.bucket, Key=upload.key, Body=Path(upload.path).read_bytes())
    sagemaker.create_pipeline(
        PipelineName=name,
        PipelineDefinition=compiled.definition,
        RoleArn=compiled.role_arn,
        ClientRequestToken=name.ljust(32, "-"),
    )
    arn = sagemaker.start_pipeline_execution(
        PipelineName=name,
        PipelineParameters=[{"Name": key, "Value": value} for key, value in config.pipeline_parameters().items()],
    )["PipelineExecutionArn"]
    execution = _ended(sagemaker, arn)
    assert execution["PipelineExecutionStatus"] == status, execution
    steps = {
        step["StepName"]: step
        for step in sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    }
    if status == "Succeeded":
        assert steps["Register"]["StepStatus"] == "Succeeded"
        package = sagemaker.list_model_packages(ModelPackageGroupName="flight-delay")["ModelPackageSummaryList"][0]
        assert package["ModelApprovalStatus"] == "PendingManualApproval"
    else:
        assert "Register" not in steps or steps["Register"]["StepStatus"] != "Succeeded"
        assert "Validation AUC ROC was not above 0.6" in str(steps["NotGoodEnough"])


def _ended(sagemaker: Any, arn: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        execution: dict[str, Any] = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        if execution["PipelineExecutionStatus"] not in ("Executing", "Stopping"):
            return execution
        time.sleep(0.2)
    raise AssertionError(f"{arn} has not ended in time")
