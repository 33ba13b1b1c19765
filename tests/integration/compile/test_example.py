"""The shipped example: the model is registered only if its AUC beats the threshold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker import PytorchTrainingConfig

from .harness import Deployed

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
    pipeline = Deployed(local_sagemaker, config)
    ended, steps = pipeline.ended(pipeline.start(config))
    assert ended == status, steps
    if status == "Succeeded":
        assert steps["Register"]["StepStatus"] == "Succeeded"
        package = pipeline.sagemaker.list_model_packages(ModelPackageGroupName="flight-delay")[
            "ModelPackageSummaryList"
        ][0]
        assert package["ModelApprovalStatus"] == "PendingManualApproval"
    else:
        assert "Register" not in steps or steps["Register"]["StepStatus"] != "Succeeded"
        assert "Validation AUC ROC was not above 0.6" in str(steps["NotGoodEnough"])
