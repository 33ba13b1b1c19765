"""Promotion on the local server: one package per task run, whoever dies in between, and nothing half-registered."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

import pytest

from tests.faults.airflow.conftest import Bench, Worker

AUC = "Validation AUC ROC"
ACCOUNT = "123456789012"


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


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

    def register_foreign(self, status: str = "Approved", **metadata: str) -> str:
        """Register a package as another tool does; return its ARN."""
        client = self.bench.sagemaker
        if not client.list_model_package_groups(NameContains=self.group)["ModelPackageGroupSummaryList"]:
            client.create_model_package_group(ModelPackageGroupName=self.group)
        containers = [{"Image": "i", "ModelDataUrl": self.outcome(0.5)["model_artifact"]}]
        made = client.create_model_package(
            ModelPackageGroupName=self.group,
            ModelApprovalStatus=status,
            InferenceSpecification={"Containers": containers},
            CustomerMetadataProperties={"origin": "another tool", **metadata},
        )
        return str(made["ModelPackageArn"])

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
    assert rejected["ApprovalDescription"] == f"airflow-sagemaker: Rejected: {AUC} 0.68, worse than the champion's 0.7"


def test_a_metric_that_is_not_a_number_is_rejected(promotions: Promotions) -> None:
    promoted = promotions.promote(outcome=promotions.outcome(0.7, metrics={AUC: None}))
    assert (promoted["status"], promoted["value"]) == ("Rejected", None)
    assert promoted["reason"] == f"{AUC} nan is not a number"
    assert promotions.statuses() == ["Rejected"]


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


@pytest.mark.parametrize(("approval", "status"), [("manual", "Approved"), slow("automatic", "Rejected")])
def test_a_status_that_was_changed_without_a_word_stays_too(promotions: Promotions, approval: str, status: str) -> None:
    """The console and the aws command line need no description, and leave the one that is there."""
    arn = promotions.promote(0.7, approval=approval)["package_arn"]
    promotions.bench.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)
    assert promotions.promote(0.7, approval=approval, task={"try_number": 2})["status"] == status
    assert promotions.statuses() == [status]


@pytest.mark.slow
def test_a_metric_of_any_name_decides(promotions: Promotions) -> None:
    """Of a user's own program: the service takes neither its signs nor more than fifty of them."""
    name = "f1 (macro), 95%"
    for run, value in (("1", 0.7), ("2", 0.6)):
        outcome = promotions.outcome(0.7, run=run)
        outcome["metrics"] = {**{f"recall@{place}": 0.5 for place in range(60)}, name: value}
        promotions.promote(outcome=outcome, run=run, metric=name, higher_is_better=True)
    assert promotions.statuses() == ["Approved", "Rejected"]


def test_a_cleared_promotion_is_judged_again_by_its_new_criteria(promotions: Promotions) -> None:
    promotions.promote(0.7)
    again = promotions.promote(0.7, min_value=0.8, task={"try_number": 2, "max_tries": 2})
    assert again["champion_arn"] is None, "its own package is not the champion that it must beat"
    assert promotions.statuses() == ["Rejected"]


@pytest.mark.slow
def test_a_champion_behind_a_hundred_packages_is_found(promotions: Promotions) -> None:
    """More than one page lists, even if the only approved package on it is the task's own."""
    promotions.promote(0.9, run="0")
    for _ in range(99):
        promotions.register_foreign("Rejected")
    assert promotions.promote(0.7, run="1")["champion_value"] == 0.9
    assert promotions.promote(0.7, run="2", better_than=None)["status"] == "Approved"
    again = promotions.promote(0.7, run="2", task={"try_number": 2})
    assert (again["status"], again["champion_value"]) == ("Rejected", 0.9)


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


class Race:
    """Two promotions that have compared with the same champion, and wait to be approved; the first is version 1."""

    def __init__(self, promotions: Promotions, first: float, second: float, **settings: Any) -> None:
        self.held = [promotions.bench.proxy.inject("UpdateModelPackage", "hold_request") for _ in (1, 2)]
        self.workers = []
        for run, auc in (("1", first), ("2", second)):
            self.workers.append(promotions.work(auc, run=run, **settings))
            assert self.held[len(self.workers) - 1].reached.wait(60), self.workers[-1].log

    def finish(self, *order: int) -> list[dict[str, Any]]:
        """Let the promotions continue one after the other (numbers), or both at once (none); return the results."""
        for number in order:
            self.held[number - 1].release()
            self.workers[number - 1].result()
        for held in self.held:
            held.release()
        return [worker.result() for worker in self.workers]


@pytest.mark.parametrize("order", [slow((1, 2)), (2, 1), slow(())])
def test_of_two_promotions_at_once_the_worse_is_rejected(promotions: Promotions, order: tuple[int, ...]) -> None:
    """Whoever is approved first: the later version is judged as if it had come later."""
    first, second = Race(promotions, 0.8, 0.7).finish(*order)
    assert promotions.statuses() == ["Approved", "Rejected"]
    reason = f"{AUC} 0.7, worse than the champion's 0.8: version 1, approved at the same time"
    assert promotions.packages()[1]["ApprovalDescription"] == f"airflow-sagemaker: Rejected: {reason}"
    assert first["returned"]["status"] == "Approved"
    if order == (1, 2):  # in the other order the first one rejected it, when the second had ended
        assert (second["returned"]["status"], second["returned"]["reason"]) == ("Rejected", reason)
        assert second["returned"]["champion_arn"] == first["returned"]["package_arn"]
        assert second["returned"]["champion_value"] == 0.8


@pytest.mark.soak
def test_promotions_that_race_freely_leave_what_promotions_one_after_the_other_leave(promotions: Promotions) -> None:
    chance = random.Random(7)
    for number in range(20):
        workers = [promotions.work(chance.random(), run=f"{number}{one}", tolerance=0.1) for one in range(3)]
        assert [worker.result()["returned"] is None for worker in workers] == [False] * 3
        best, expected = None, []
        for package in promotions.packages():
            auc = float(package["CustomerMetadataProperties"][AUC])
            if best is None or auc >= best - 0.1:
                best = auc
                expected.append("Approved")
            else:
                expected.append("Rejected")
        assert promotions.statuses() == expected, f"round {number}"


@pytest.mark.slow
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_promotions_at_once_both_stay_if_the_later_is_not_worse(
    promotions: Promotions, order: tuple[int, ...]
) -> None:
    Race(promotions, 0.7, 0.695, tolerance=0.01).finish(*order)
    assert promotions.statuses() == ["Approved", "Approved"]


@pytest.mark.slow
def test_what_a_person_approved_meanwhile_stays(promotions: Promotions) -> None:
    race = Race(promotions, 0.8, 0.7)
    arn = promotions.packages()[1]["ModelPackageArn"]
    race.workers[1].kill()
    promotions.bench.sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="wanted"
    )
    race.held[0].release()
    assert race.workers[0].result()["returned"]["status"] == "Approved"
    assert promotions.statuses() == ["Approved", "Approved"]


@pytest.mark.slow
def test_a_model_approved_meanwhile_without_the_metric_is_not_passed(promotions: Promotions) -> None:
    """Fail closed: a newer champion that nothing can be compared with was not there when the promotion began."""
    held = promotions.bench.proxy.inject("CreateModelPackage", "hold_request")
    worker = promotions.work(0.7)
    assert held.reached.wait(60)
    promotions.register_foreign()
    held.release()
    assert "cannot be compared" in worker.result()["returned"]["reason"]
    assert promotions.statuses() == ["Approved", "Rejected"]


@pytest.mark.slow
def test_a_promotion_that_is_killed_before_its_second_look_is_judged_by_its_retry(promotions: Promotions) -> None:
    race = Race(promotions, 0.8, 0.7)
    race.held[0].release()
    race.workers[0].result()
    looking = promotions.bench.proxy.inject("ListModelPackages", "hold_request")
    race.held[1].release()
    assert looking.reached.wait(60)
    race.workers[1].kill()
    promotions.bench.proxy.clear()
    assert promotions.promote(0.7, run="2", task={"try_number": 2})["status"] == "Rejected"
    assert promotions.statuses() == ["Approved", "Rejected"]


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
    "group's name": ({"group": "flight_delays"}, "letters, digits and hyphens"),
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
    promotions.register_foreign()
    result = promotions.work(0.7).result()
    assert f"has no '{AUC}' in its metadata" in result["message"]
    assert len(promotions.packages()) == 1


def test_a_champion_whose_metric_is_nan_is_not_beaten_by_any_model(promotions: Promotions) -> None:
    champion = promotions.register_foreign(**{AUC: "nan"})
    result = promotions.work(0.7).result()
    assert (result["error"], f"has {AUC} nan" in result["message"]) == ("AirflowFailException", True), result
    assert champion in result["message"]
    assert promotions.statuses() == ["Approved"]
