"""A backfill of dates of which one is spoilt: its model is rejected, people are told, and the champion scores on."""

from __future__ import annotations

import io
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from local_stack.settings import USERNAME, Home
from local_stack.stack import Stack, running_stack

from airflow_sagemaker.cli.airflow_api import AirflowApi
from airflow_sagemaker.cli.backfill_summary import as_text, summarize_backfill
from tests.docs.pages import ROOT
from tests.support.mail_sink import mail_sink
from tests.support.stack_runs import wait_for_runs

pytestmark = pytest.mark.timeout(3600)
FIRST = date(2026, 2, 1)
GROUP = "backfilled-customers"


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


@pytest.mark.slow
def test_a_person_approves_by_airflows_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(ROOT / "examples" / "dags"))
    with running_stack(Home(tmp_path), schedules=False, max_jobs=2) as stack:
        airflow, dag_id = stack.airflow, "customers_promoted"
        switch_on(stack, dag_id)
        run_id = airflow.trigger(dag_id, partition=str(FIRST))["dag_run_id"]
        task = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/ask"

        def is_asked() -> bool:
            waiting = airflow.get(task)["state"] in ("deferred", "awaiting_input")  # the second since Airflow 3.3
            return bool(waiting and airflow.exists(f"{task}/-1/hitlDetails"))

        stack.processes.wait_until(is_asked, what="the question", seconds=600)
        (package,) = packages(stack, "customers").values()
        assert package["ModelApprovalStatus"] == "PendingManualApproval"
        airflow.call("PATCH", f"{task}/-1/hitlDetails", json={"chosen_options": ["Approve"], "params_input": {}})
        wait_for_runs(stack, 1, dag_id=dag_id)
        (package,) = packages(stack, "customers").values()
        assert (package["ModelApprovalStatus"], package["ApprovalDescription"]) == ("Approved", "approved in Airflow")
