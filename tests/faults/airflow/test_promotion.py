"""Promotion on the local server: one package per task run, whoever dies in between, and nothing half-registered."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.faults.airflow.conftest import Bench, Worker

AUC = "Validation AUC ROC"
ACCOUNT = "123456789012"


class Promotions:
    """Promotions into one group of its own, by workers that can be killed."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.group = f"group-{uuid.uuid4().hex[:8]}"

    def outcome(self, auc: float, *, run: str = "1", **changes: Any) -> dict[str, Any]:
        key = f"{self.bench.name}/output/{run}/job/output/model.tar.gz"
        self.bench.s3.put_object(Bucket=self.bench.shop.bucket, Key=key, Body=b"model")
        return {
            "status": "Succeeded",
            "execution_arn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:pipeline/p/execution/{run:0>12}",
            "digest": "0" * 64,
            "model_artifact": f"s3://{self.bench.shop.bucket}/{key}",
            "metrics": {AUC: auc, "Validation Loss": 1 - auc},
            "report": {"data": {"digests": {"train": "a", "val": "b", "test": "c"}}},
            **changes,
        }

    def work(
        self, auc: float = 0.7, *, run: str = "1", outcome: Any = None, task: Any = None, **settings: Any
    ) -> Worker:
        given = {"outcome": outcome or self.outcome(auc, run=run), "group": self.group, "metric": AUC, **settings}
        return self.bench.work(promote=given, run_id=run, **(task or {}))

    def promote(self, auc: float = 0.7, **settings: Any) -> dict[str, Any]:
        result = self.work(auc, **settings).result()
        assert result["returned"], result
        found: dict[str, Any] = result["returned"]
        return found

    def packages(self) -> list[dict[str, Any]]:
        """The group's packages as any boto3 program sees them, oldest first."""
        client = self.bench.sagemaker
        listed = client.list_model_packages(ModelPackageGroupName=self.group, SortOrder="Ascending")
        return [
            client.describe_model_package(ModelPackageName=item["ModelPackageArn"])
            for item in listed["ModelPackageSummaryList"]
        ]

    def statuses(self) -> list[str]:
        return [package["ModelApprovalStatus"] for package in self.packages()]


@pytest.fixture
def promotions(bench: Bench) -> Promotions:
    return Promotions(bench)


def test_three_days_of_models(promotions: Promotions) -> None:
    first = promotions.promote(0.70, run="1")
    worse = promotions.promote(0.68, run="2")
    better = promotions.promote(0.72, run="3", min_value=0.5)
    assert promotions.statuses() == ["Approved", "Rejected", "Approved"]
    assert (first["champion_arn"], worse["champion_arn"]) == (None, first["package_arn"])
    assert (better["champion_arn"], better["champion_value"]) == (first["package_arn"], 0.70)
    rejected = promotions.packages()[1]
    assert rejected["ApprovalDescription"] == f"airflow-sagemaker: {AUC} 0.68, worse than the champion's 0.7"


def test_what_a_package_says_of_its_model(promotions: Promotions) -> None:
    outcome = promotions.outcome(0.7)
    promotions.promote(0.7, task={"partition": "2026-06-09|us-east"})
    (package,) = promotions.packages()
    metadata = package["CustomerMetadataProperties"]
    assert metadata["partition"] == "2026-06-09@7Cus-east"
    assert (float(metadata[AUC]), metadata["digest"]) == (0.7, "0" * 64)
    assert metadata["execution"] == outcome["execution_arn"]
    assert metadata["report"].endswith("/job/output/output.tar.gz")
    assert len(metadata["data_digest"]) == 64
    (container,) = package["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == outcome["model_artifact"]
    assert "pytorch-inference" in container["Image"]


def test_at_most_six_calls(promotions: Promotions) -> None:
    calls = promotions.bench.proxy.calls
    counts = []
    for run, task in (("1", {}), ("2", {}), ("2", {"try_number": 2})):
        before = sum(calls.values())
        promotions.promote(0.7, run=run, task=task)
        counts.append(sum(calls.values()) - before)
    assert max(counts) <= 6, counts


def test_manual_approval_waits_for_a_person_whose_word_stays(promotions: Promotions) -> None:
    pending = promotions.promote(0.7, approval="manual")
    assert pending["status"] == "PendingManualApproval"
    promotions.bench.sagemaker.update_model_package(
        ModelPackageArn=pending["package_arn"], ModelApprovalStatus="Rejected", ApprovalDescription="not this one"
    )
    again = promotions.promote(0.7, task={"try_number": 2})
    assert (again["status"], again["reason"]) == ("Rejected", "not this one")
    assert promotions.statuses() == ["Rejected"]


def test_a_cleared_promotion_is_judged_again_by_its_new_criteria(promotions: Promotions) -> None:
    promotions.promote(0.7)
    again = promotions.promote(0.7, min_value=0.8, task={"try_number": 2, "max_tries": 2})
    assert again["champion_arn"] is None, "its own package is not the champion that it must beat"
    assert promotions.statuses() == ["Rejected"]


def test_the_asset_event_names_the_package_and_the_partition(promotions: Promotions) -> None:
    result = promotions.work(0.7).result()
    assert result["asset_partitions"] == ["2013-07-04"]


POINTS = [
    (operation, fault)
    for operation in ("ListModelPackages", "CreateModelPackage", "UpdateModelPackage")
    for fault in ("hold_request", "hold_reply")
]


@pytest.mark.parametrize(("operation", "fault"), POINTS)
def test_a_killed_promotion_is_carried_on_by_its_retry(promotions: Promotions, operation: str, fault: str) -> None:
    promotions.promote(0.6, run="0")
    held = promotions.bench.proxy.inject(operation, fault)
    worker = promotions.work(0.7)
    assert held.reached.wait(60)
    worker.kill()
    held.release()
    promotions.bench.proxy.clear()
    retried = promotions.promote(0.7, task={"try_number": 2})
    assert (retried["status"], promotions.statuses()) == ("Approved", ["Approved", "Approved"])
    assert retried["champion_value"] == 0.6


HEALING = [
    ("CreateModelPackage", "reset"),
    ("CreateModelPackage", "lose_reply"),
    ("CreateModelPackage", "html407"),
    ("UpdateModelPackage", "cut_reply"),
    ("UpdateModelPackage", "throttle"),
]


@pytest.mark.parametrize(("operation", "fault"), HEALING)
def test_a_fault_that_heals_leaves_one_package(promotions: Promotions, operation: str, fault: str) -> None:
    promotions.bench.proxy.inject(operation, fault)
    assert promotions.promote(0.7)["status"] == "Approved"
    assert promotions.statuses() == ["Approved"]


def test_a_token_that_aws_has_forgotten_is_found_by_the_description(promotions: Promotions) -> None:
    """Not even a retry after a day makes a second package: it looks for its own before it asks."""
    promotions.bench.proxy.inject("UpdateModelPackage", "denied")
    assert promotions.work(0.7).result()["returned"] is None
    calls = promotions.bench.proxy.calls
    before = calls["CreateModelPackage"]
    promotions.promote(0.7, task={"try_number": 2})
    assert calls["CreateModelPackage"] == before
    assert promotions.statuses() == ["Approved"]


def test_two_promotions_of_one_partition_at_once_are_two_whole_packages(promotions: Promotions) -> None:
    workers = [promotions.work(0.7, run=run) for run in ("1", "2")]
    assert [worker.result()["error"] if worker.result()["returned"] is None else "" for worker in workers] == ["", ""]
    assert sorted(promotions.statuses()) == ["Approved", "Approved"]


def test_a_champion_that_is_deleted_meanwhile_is_not_the_champion(promotions: Promotions) -> None:
    promotions.promote(0.6, run="0")
    gone = promotions.promote(0.9, run="1")
    held = promotions.bench.proxy.inject("DescribeModelPackage", "hold_request")
    worker = promotions.work(0.7, run="2")
    assert held.reached.wait(60)
    promotions.bench.sagemaker.delete_model_package(ModelPackageName=gone["package_arn"])
    held.release()
    assert worker.result()["returned"]["champion_value"] == 0.6


def test_a_package_that_is_deleted_before_it_is_judged_is_said(promotions: Promotions) -> None:
    held = promotions.bench.proxy.inject("UpdateModelPackage", "hold_request")
    worker = promotions.work(0.7)
    assert held.reached.wait(60)
    (package,) = promotions.packages()
    promotions.bench.sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])
    held.release()
    assert "was deleted before it could be judged; clear the task" in worker.result()["message"]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown metric": ({"metric": "AUC"}, "is not a metric of this model"),
    "no outcome": ({"outcome": "None"}, "must be the outcome of a training"),
    "foreign group": ({"group": "arn:aws:sagemaker:us-east-1:210987654321:model-package-group/g"}, "210987654321"),
    "wrong direction": ({"max_value": 0.9}, "use min_value"),
    "no number": ({"min_value": "high"}, "must be a number"),
    "negative tolerance": ({"tolerance": -1}, "0 or more"),
    "approval": ({"approval": "sometimes"}, "automatic or manual"),
    "better_than": ({"better_than": "yesterday"}, "must be 'champion' or None"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_no_call(promotions: Promotions, name: str) -> None:
    settings, message = BAD[name]
    result = promotions.work(0.7, **settings).result()
    assert (result["error"], message in result["message"]) == ("AirflowFailException", True), result
    assert not promotions.bench.proxy.calls, json.dumps(promotions.bench.proxy.calls)


def test_a_champion_without_metrics_is_said_before_anything_is_registered(promotions: Promotions) -> None:
    client = promotions.bench.sagemaker
    client.create_model_package_group(ModelPackageGroupName=promotions.group)
    request = {"Containers": [{"Image": "i", "ModelDataUrl": promotions.outcome(0.5)["model_artifact"]}]}
    client.create_model_package(
        ModelPackageGroupName=promotions.group, ModelApprovalStatus="Approved", InferenceSpecification=request
    )
    result = promotions.work(0.7).result()
    assert f"has no '{AUC}' in its metadata" in result["message"]
    assert len(promotions.packages()) == 1
