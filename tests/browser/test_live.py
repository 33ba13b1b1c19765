"""Live figures that the api-server reads from SageMaker itself, while the waiting task's log says nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser.test_access import answers
from tests.browser.test_report import numbers, report
from tests.support.pages_airflow import Airflow
from tests.support.pipelines import compiled, script_step
from tests.support.samples import ROLE

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EPOCHS = ("0.61 0.60 0.31 0.655", "0.58 0.59 0.33 0.671")
NAMES = ("Train Loss", "Validation Loss", "Validation F1 Score", "Validation AUC ROC")


@dataclass
class Training:
    """An execution on the local SageMaker whose job has told two epochs and runs until `stop`."""

    arn: str
    stop: Path


@pytest.fixture
def training(local_sagemaker: Any, tmp_path: Path) -> Iterator[Training]:
    told = [f"{name}: {value}" for epoch in EPOCHS for name, value in zip(NAMES, epoch.split(), strict=True)]
    log = tmp_path / "log"
    log.write_text("\n".join(["secret=not-a-figure", *told, ""]))
    stop, bucket = tmp_path / "stop", f"live-{uuid.uuid4().hex[:10]}"
    local_sagemaker.client("s3").create_bucket(Bucket=bucket)
    script = f"cat {log}; until [ -e {stop} ]; do sleep 0.1; done"
    made = compiled(f"live-{uuid.uuid4().hex[:8]}", [script_step(bucket, script)])
    client = local_sagemaker.client("sagemaker")
    client.create_pipeline(
        PipelineName=made.pipeline_name, PipelineDefinition=made.definition, RoleArn=ROLE,
        ClientRequestToken=uuid.uuid4().hex,
    )  # fmt: skip
    arn = client.start_pipeline_execution(PipelineName=made.pipeline_name)["PipelineExecutionArn"]
    yield Training(arn, stop)
    stop.touch()


def test_figures_come_from_sagemaker_while_the_log_is_silent(page: Any, airflow: Airflow, training: Training) -> None:
    airflow.hold.touch()
    run = airflow.client.trigger("pages_live", conf={"arn": training.arn})
    frame = report(page, airflow, run["dag_run_id"], dag_id="pages_live")
    frame.get_by_text("read from AWS").wait_for()
    frame.locator('.chart[data-points="2"]').first.wait_for()
    assert numbers(frame, "Validation AUC ROC") == [["1", "0.6550"], ["2", "0.6710"]]
    assert "executing" in frame.locator(".timeline .step").inner_text()
    where = f"dag_id=pages_live&run_id={quote(run['dag_run_id'], safe='')}&task_id=start_training"
    answer = answers(airflow, f"/data/live?{where}", "reader")
    assert answer.status_code == 200
    assert "secret" not in answer.text  # of the log only figures leave the server
    training.stop.touch()
    airflow.hold.unlink()
    frame.locator("#page[data-live=false]").wait_for()


def test_an_execution_that_aws_does_not_know_leaves_the_tasks_log(page: Any, airflow: Airflow) -> None:
    airflow.hold.touch()
    gone = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/nothing-here/execution/abcdefabcdef"
    run = airflow.client.trigger("pages_live", conf={"arn": gone})
    frame = report(page, airflow, run["dag_run_id"], dag_id="pages_live")
    frame.get_by_text("Reading from AWS failed").wait_for()
    airflow.hold.unlink()
    frame.locator("#page[data-live=false]").wait_for()
