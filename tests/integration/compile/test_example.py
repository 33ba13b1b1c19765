"""The shipped example: the model is registered only if its AUC beats the threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker import PytorchTrainingConfig
from tests.support.deployed import Deployed

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
AS_GOOD_AS_TOLD = """
import json, os, pathlib
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.pt").write_text("registered only with a model")
print("Validation AUC ROC:", json.loads(os.environ["SM_HPS"])["dropout"])
"""


def test_registration_follows_the_metric(
    config: PytorchTrainingConfig, local_sagemaker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    (Path(config.source_dir) / "train.py").write_text(AS_GOOD_AS_TOLD)
    config = config.updated(
        bucket="example", pipeline_name="example", distribution="none", followups=["register_if_good:register_if_good"]
    )
    pipeline = Deployed(local_sagemaker, config)
    good, bad = (
        pipeline.start(config.updated(hyperparameters=config.hyperparameters.updated(dropout=auc)))
        for auc in (0.91, 0.55)
    )

    status, steps = pipeline.ended(good)
    assert (status, steps["Register"]["StepStatus"]) == ("Succeeded", "Succeeded"), steps
    assert _approvals(pipeline) == ["PendingManualApproval"]

    status, steps = pipeline.ended(bad)
    assert status == "Failed"
    assert "Register" not in steps or steps["Register"]["StepStatus"] != "Succeeded"
    assert "Validation AUC ROC was not above 0.6" in str(steps["NotGoodEnough"])
    assert len(_approvals(pipeline)) == 1


def _approvals(pipeline: Deployed) -> list[str]:
    """The states of the model packages that were registered."""
    reply = pipeline.sagemaker.list_model_packages(ModelPackageGroupName="flight-delay")
    return [package["ModelApprovalStatus"] for package in reply["ModelPackageSummaryList"]]
