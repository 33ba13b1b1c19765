"""A backfill of dates of which one is spoilt: its model is rejected, people are told, and the champion scores on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

import pyarrow.parquet as pq
import pytest
from local_stack.settings import USERNAME, Home
from local_stack.stack import Stack, running_stack

from airflow_sagemaker.cli.airflow_api import AirflowApi
from airflow_sagemaker.cli.backfill_summary import as_text, summarize_backfill
from tests.browser.form import sign_in
from tests.docs.pages import ROOT
from tests.support.chromium import chromium_page
from tests.support.mail_sink import MailSink, mail_sink
from tests.support.stack_runs import wait_for_runs

pytestmark = pytest.mark.timeout(3600)
FIRST = date(2026, 2, 1)
GROUP = "backfilled-customers"
ASKING = "customers_promoted"


def packages(stack: Stack, group: str) -> dict[str, dict[str, Any]]:
    """The group's packages by the partition of their model."""
    client = stack.client("sagemaker")
    listed = client.list_model_packages(ModelPackageGroupName=group, MaxResults=100)["ModelPackageSummaryList"]
    found = [client.describe_model_package(ModelPackageName=item["ModelPackageArn"]) for item in listed]
    return {package["CustomerMetadataProperties"]["partition"]: package for package in found}


def switch_on(stack: Stack, *dags: str) -> None:
    client = stack.airflow
    stack.processes.wait_until(lambda: all(client.exists(f"/dags/{dag}") for dag in dags), what="DAGs", seconds=180)
    for dag in dags:
        client.call("PATCH", f"/dags/{dag}", json={"is_paused": False})


@pytest.mark.parametrize("days", [pytest.param(3, marks=pytest.mark.slow), pytest.param(30, marks=pytest.mark.soak)])
def test_a_spoilt_date_does_not_become_the_champion(days: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dates = [str(FIRST + timedelta(days=number)) for number in range(days)]
    spoilt = dates[days // 2]
    with mail_sink() as (sink, connection):
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", connection)
        monkeypatch.setenv("SPOILT_PARTITION", spoilt)
        monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(Path(__file__).with_name("promotion_dags")))
        with running_stack(Home(tmp_path), schedules=False, max_jobs=2) as stack:
            switch_on(stack, "backfilled_customers", "scored_customers")
            body = {
                "dag_id": "backfilled_customers",
                "from_date": f"{dates[0]}T00:00:00Z",
                "to_date": f"{dates[-1]}T00:00:00Z",
                "max_active_runs": 4,
                "reprocess_behavior": "none",
            }
            stack.airflow.call("POST", "/backfills", json=body)
            wait_for_runs(stack, days, dag_id="backfilled_customers", minutes=50)

            found = packages(stack, GROUP)
            assert sorted(found) == dates
            assert [day for day in dates if found[day]["ModelApprovalStatus"] != "Approved"] == [spoilt]
            assert "must be at least 0.5" in found[spoilt]["ApprovalDescription"]
            rejections = [message for message in sink.messages if message.startswith("Rejected")]
            assert [message.splitlines()[0] for message in rejections] == [f"Rejected {spoilt}"]

            champion = max(
                (package for package in found.values() if package["ModelApprovalStatus"] == "Approved"),
                key=lambda package: package["ModelPackageVersion"],
            )
            summary = summarize_backfill(
                AirflowApi.signed_in(stack.url, USERNAME, stack.password), "backfilled_customers", dates[0], dates[-1]
            )
            print(as_text(summary))
            marks = {result.partition: result.model.split()[0] for result in summary}
            assert marks == {
                day: "rejected" if day == spoilt else "champion" if found[day] == champion else "promoted"
                for day in dates
            }

            following = str(FIRST + timedelta(days=days))
            stack.airflow.trigger("scored_customers", partition=following)
            wait_for_runs(stack, 1, dag_id="scored_customers", minutes=15)
            key = f"scored-customers/output/{following}/predictions.parquet"
            body = stack.client("s3").get_object(Bucket="flight-delays", Key=key)["Body"].read()
            answers = pq.read_table(io.BytesIO(body))
            assert set(answers["model"].to_pylist()) == {champion["ModelPackageArn"]}
            assert answers.num_rows == 1000


def answer_in_the_browser(stack: Stack, run_id: str, button: str, picture: Path) -> None:
    """Sign in to Airflow, open the task that asks, and click."""
    with chromium_page() as page:
        sign_in(page, stack.url, USERNAME, stack.password)
        page.goto(f"{stack.url}/dags/{ASKING}/runs/{run_id}/tasks/ask/required_actions")
        page.get_by_text("Validation AUC ROC").first.wait_for()
        page.screenshot(path=picture)
        with page.expect_response(
            lambda reply: "/hitlDetails" in reply.url and reply.request.method == "PATCH"
        ) as given:
            page.get_by_role("button", name=button, exact=True).click()
        assert given.value.ok, given.value.text()


@dataclass(frozen=True)
class Examples:
    """A stack on the example DAGs, and a mail server that gets their messages."""

    stack: Stack
    sink: MailSink


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """The deadline of `customers_watched` is a second, which no training keeps."""
    home = tmp_path_factory.mktemp("examples")
    dags = copytree(ROOT / "examples" / "dags", home / "dags")
    watched = (dags / "customers_watched.py").read_text()
    assert "interval=timedelta(hours=4)" in watched
    (dags / "customers_watched.py").write_text(watched.replace("timedelta(hours=4)", "timedelta(seconds=1)"))
    with mail_sink() as (sink, connection), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", connection)
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(dags))
        with running_stack(Home(home / "stack"), schedules=False, max_jobs=2) as stack:
            yield Examples(stack, sink)


@pytest.mark.slow
def test_a_late_partition_is_mailed_by_airflows_deadline(examples: Examples) -> None:
    stack, dag_id = examples.stack, "customers_watched"
    switch_on(stack, dag_id)
    stack.airflow.trigger(dag_id, partition=str(FIRST))
    late = f"{dag_id} {FIRST} is late"

    def is_mailed() -> bool:
        return any(message.splitlines()[0] == late for message in examples.sink.messages)

    stack.processes.wait_until(is_mailed, what="the message", seconds=600)
    wait_for_runs(stack, 1, dag_id=dag_id)


@pytest.mark.slow
def test_a_person_answers_by_airflows_api_and_in_its_pages(examples: Examples, tmp_path: Path) -> None:
    stack, airflow = examples.stack, examples.stack.airflow
    switch_on(stack, ASKING)
    partitions = [str(FIRST + timedelta(days=number)) for number in range(3)]
    runs = [airflow.trigger(ASKING, partition=one)["dag_run_id"] for one in partitions]
    tasks = [f"/dags/{ASKING}/dagRuns/{run_id}/taskInstances/ask" for run_id in runs]

    def are_asked() -> bool:
        return all(airflow.exists(task) and airflow.exists(f"{task}/-1/hitlDetails") for task in tasks)

    stack.processes.wait_until(are_asked, what="the questions", seconds=900)
    found = packages(stack, "customers")
    assert [found[one]["ModelApprovalStatus"] for one in partitions] == ["PendingManualApproval"] * 3

    airflow.call("PATCH", f"{tasks[0]}/-1/hitlDetails", json={"chosen_options": ["Approve"], "params_input": {}})
    answer_in_the_browser(stack, runs[1], "Reject", tmp_path / "reject.png")
    answer_in_the_browser(stack, runs[2], "Approve", tmp_path / "approve.png")
    wait_for_runs(stack, 3, dag_id=ASKING)

    found = packages(stack, "customers")
    answers = [(found[one]["ModelApprovalStatus"], found[one]["ApprovalDescription"]) for one in partitions]
    approved, rejected = ("Approved", "approved in Airflow"), ("Rejected", "rejected in Airflow")
    assert answers == [approved, rejected, approved]
    (asset,) = airflow.get("/assets", name_pattern="customers_champion")["assets"]
    events = airflow.get("/assets/events", asset_id=asset["id"])["asset_events"]
    assert sorted(event["source_run_id"] for event in events) == sorted([runs[0], runs[2]])
