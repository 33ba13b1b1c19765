"""The champion on today's test rows: one job per pair of models, whoever dies, and nothing registered without it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.faults.airflow.conftest import Bench, Worker
from tests.faults.airflow.test_promotion import AUC, Promotions
from tests.support.samples import ROLE
from tests.support.waiting import wait_until

COMPARE = """
import json, pathlib, sys
model, champion, rows, target = sys.argv[1:]
assert [pathlib.Path(one).is_file() for one in (model, champion)] == [True, True]
found = json.loads((pathlib.Path(rows) / "test.parquet").read_text())
if "error" in found:
    pathlib.Path("/opt/ml/output/message").write_text(found["error"])
    sys.exit(1)
pathlib.Path(target).write_text(json.dumps(found))
"""
"""In place of training/compare.py: what it is to find is in the rows."""


class SameRows(Promotions):
    """Promotions of models with a training job, after a champion of AUC 0.7."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.source = bench.path / "compared"
        self.source.mkdir()
        (self.source / "compare.py").write_text(COMPARE)
        (self.source / "requirements.txt").write_text("")
        self.champion = self.promote(0.7, run="0")["package_arn"]

    def trained(self, rows: str, run: str = "1", auc: float = 0.69) -> dict[str, Any]:
        """The outcome of a training whose test rows are these."""
        name, bucket = f"job-{uuid.uuid4().hex[:8]}", self.bench.shop.bucket
        key = f"{self.bench.name}/input/{name}/test/test.parquet"
        self.bench.s3.put_object(Bucket=bucket, Key=key, Body=rows.encode())
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{key}"}
        self.bench.sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=ROLE,
            AlgorithmSpecification={
                "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["true"],
            },
            InputDataConfig=[{"ChannelName": "test", "DataSource": {"S3DataSource": source}}],
            OutputDataConfig={"S3OutputPath": f"s3://{bucket}/output"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )
        return self.outcome(auc, run=run, training_job_name=name)

    def replace_rows(self, outcome: dict[str, Any], rows: str) -> None:
        """Put other test rows in the place of those of a training."""
        job = self.bench.sagemaker.describe_training_job(TrainingJobName=outcome["training_job_name"])
        place = job["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
        bucket, _, key = place.removeprefix("s3://").partition("/")
        self.bench.s3.put_object(Bucket=bucket, Key=key, Body=rows.encode())

    def compare(self, outcome: dict[str, Any], task: Any = None, **settings: Any) -> Worker:
        given = {"same_rows": True, "source_dir": str(self.source), "poll_interval": 0.2, "deferrable": False}
        return self.work(outcome=outcome, task=task, **{**given, **settings})

    def jobs(self) -> list[str]:
        """The comparisons that ran for this group's champion, by status."""
        found = self.bench.sagemaker.list_processing_jobs(NameContains="compare-", SortOrder="Ascending")
        described = [
            self.bench.sagemaker.describe_processing_job(ProcessingJobName=job["ProcessingJobName"])
            for job in found["ProcessingJobSummaries"]
        ]
        champion = f"{self.bench.name}/output/0/"
        ours = [job for job in described if any(champion in one["S3Input"]["S3Uri"] for one in job["ProcessingInputs"])]
        return [job["ProcessingJobStatus"] for job in ours]


@pytest.fixture
def promotions(bench: Bench) -> SameRows:
    bench.name = f"p-{uuid.uuid4().hex[:8]}"
    return SameRows(bench)


BETTER = '{"rows": 9, "model": {"AUC ROC": 0.69}, "champion": {"AUC ROC": 0.61}}'
WORSE = '{"rows": 9, "model": {"AUC ROC": 0.69}, "champion": {"AUC ROC": 0.72}}'


def test_yesterdays_champion_is_judged_on_todays_rows(promotions: SameRows) -> None:
    promoted = promotions.compare(promotions.trained(BETTER)).result()["returned"]
    assert (promoted["status"], promoted["metric"]) == ("Approved", "Test AUC ROC"), "by its own rows it had 0.7"
    assert (promoted["value"], promoted["champion_value"]) == (0.69, 0.61)
    assert promoted["reason"] == "Test AUC ROC 0.69, champion 0.61"
    assert promoted["champion_arn"] == promotions.champion
    assert promotions.jobs() == ["Completed"]


def test_it_waits_in_the_triggerer_and_continues_with_its_job(promotions: SameRows) -> None:
    outcome = promotions.trained(WORSE)
    deferred = promotions.compare(outcome, deferrable=True).result()
    assert deferred["trigger"][0].endswith("PauseTrigger"), deferred
    assert promotions.statuses() == ["Approved"], "nothing is registered yet"
    wait_until(lambda: promotions.jobs() == ["Completed"], "the comparison")
    promoted = promotions.compare(outcome, deferrable=True).result()["returned"]
    assert (promoted["status"], promoted["champion_value"]) == ("Rejected", 0.72)
    assert (promotions.jobs(), promotions.statuses()) == (["Completed"], ["Approved", "Rejected"])


POINTS = [
    ("CreateProcessingJob", "hold_request"),
    ("CreateProcessingJob", "hold_reply"),
    pytest.param("DescribeProcessingJob", "hold_reply", marks=pytest.mark.slow),
    pytest.param("CreateModelPackage", "hold_reply", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("operation", "fault"), POINTS)
def test_a_killed_comparison_is_carried_on_by_its_retry(promotions: SameRows, operation: str, fault: str) -> None:
    outcome = promotions.trained(BETTER)
    held = promotions.bench.proxy.inject(operation, fault)
    worker = promotions.compare(outcome)
    assert held.reached.wait(120), worker.log
    worker.kill()
    held.release()
    promotions.bench.proxy.clear()
    retried = promotions.compare(outcome, task={"try_number": 2}).result()["returned"]
    assert (retried["status"], retried["champion_value"]) == ("Approved", 0.61)
    assert (promotions.jobs(), promotions.statuses()) == (["Completed"], ["Approved", "Approved"])


@pytest.mark.slow
def test_a_champion_that_is_approved_while_the_job_runs_is_compared_too(promotions: SameRows) -> None:
    held = promotions.bench.proxy.inject("DescribeProcessingJob", "hold_request", after=1)
    worker = promotions.compare(promotions.trained(BETTER))
    assert held.reached.wait(120), worker.log
    newer = promotions.promote(0.75, run="2")["package_arn"]
    held.release()
    promoted = worker.result()["returned"]
    assert (promoted["status"], promoted["champion_arn"]) == ("Approved", newer)
    assert promotions.bench.proxy.calls["CreateProcessingJob"] == 2


@pytest.mark.slow
def test_a_model_that_was_approved_at_the_same_time_is_compared_before_the_later_one_stays(
    promotions: SameRows,
) -> None:
    proxy, outcome = promotions.bench.proxy, promotions.trained(BETTER)
    held = [proxy.inject("UpdateModelPackage", "hold_request") for _ in (1, 2)]
    first = promotions.work(0.75, run="2")
    assert held[0].reached.wait(60), first.log
    second = promotions.compare(outcome)
    assert held[1].reached.wait(120), second.log
    held[0].release()
    first.result()
    promotions.replace_rows(outcome, WORSE)
    held[1].release()
    promoted = second.result()["returned"]
    assert (promoted["status"], promoted["champion_arn"]) == ("Rejected", first.result()["returned"]["package_arn"])
    assert promotions.statuses() == ["Approved", "Approved", "Rejected"]


@pytest.mark.slow
def test_a_champion_without_the_metric_on_these_rows_is_not_beaten(promotions: SameRows) -> None:
    rows = '{"rows": 9, "model": {"AUC ROC": 0.69}, "champion": {"AUC ROC": null}}'
    result = promotions.compare(promotions.trained(rows)).result()
    assert (result["error"], "has no AUC ROC on the test rows" in result["message"]) == ("AirflowFailException", True)
    assert promotions.statuses() == ["Approved"]


def test_a_lost_reply_starts_no_second_job(promotions: SameRows) -> None:
    promotions.bench.proxy.inject("CreateProcessingJob", "lose_reply")
    assert promotions.compare(promotions.trained(BETTER)).result()["returned"]["status"] == "Approved"
    assert promotions.jobs() == ["Completed"]


def test_columns_that_differ_are_one_line_and_register_nothing(promotions: SameRows) -> None:
    message = "Error: the champion cannot score these rows: missing columns: age; expected age"
    result = promotions.compare(promotions.trained(f'{{"error": "{message}"}}')).result()
    assert (result["error"], message in result["message"]) == ("AirflowFailException", True), result
    assert promotions.champion in result["message"]
    assert promotions.statuses() == ["Approved"]
    cleared = promotions.compare(promotions.trained(BETTER), task={"try_number": 2}).result()["returned"]
    assert cleared["status"] == "Approved", "a job that failed does not stay in the way"


def test_a_champion_whose_artifact_is_gone_is_one_line_and_starts_nothing(promotions: SameRows) -> None:
    key = f"{promotions.bench.name}/output/0/job/output/model.tar.gz"
    promotions.bench.s3.delete_object(Bucket=promotions.bench.shop.bucket, Key=key)
    result = promotions.compare(promotions.trained(BETTER)).result()
    assert "has no artifact any more" in result["message"], result
    assert (result["error"], promotions.jobs()) == ("AirflowFailException", [])
    assert promotions.statuses() == ["Approved"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"metric": "Train Loss"}, "is not measured on other rows"), ({"source_dir": "/"}, "compare.py")],
)
def test_what_cannot_be_compared_is_one_line(promotions: SameRows, settings: dict[str, Any], message: str) -> None:
    outcome = promotions.trained(BETTER)
    outcome["metrics"]["Train Loss"] = 0.5
    if "source_dir" in settings:
        settings = {"source_dir": str(promotions.bench.shop.source)}
    result = promotions.compare(outcome, **settings).result()
    assert (result["error"], message in result["message"]) == ("AirflowFailException", True), result
    assert (promotions.jobs(), promotions.statuses()) == ([], ["Approved"])


def test_without_a_champion_the_outcome_decides(promotions: SameRows) -> None:
    promotions.group = f"group-{uuid.uuid4().hex[:8]}"
    promoted = promotions.compare(promotions.trained(BETTER)).result()["returned"]
    assert (promoted["status"], promoted["metric"], promoted["value"]) == ("Approved", AUC, 0.69)
    assert promotions.jobs() == []
