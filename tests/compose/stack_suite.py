"""The integration suite of a running stack: `docker compose --profile test run --rm test`, and `tests/compose/run`.

It speaks only what a user of the stack speaks: Airflow's REST API, and boto3 over the connection aws_default.
Not collected by the default test run (no test_ in its name): it needs the stack.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from local_stack.rest import AirflowClient

DAG_ID = "flight_delay_training"
PIPELINE = "flight-delay-training"
SINGLE = "2013-07-04"
BACKFILL = ("2013-07-08", "2013-07-10")
WAIT_SECONDS = float(os.environ.get("STACK_WAIT_SECONDS", "1500"))


@pytest.fixture(scope="session")
def airflow() -> AirflowClient:
    client = AirflowClient(
        os.environ["STACK_URL"], os.environ.get("ADMIN_USER") or "admin", os.environ["ADMIN_PASSWORD"]
    )
    client.sign_in()
    return client


@pytest.fixture(scope="session")
def unpaused(airflow: AirflowClient) -> None:
    wait_until(lambda: airflow.exists(f"/dags/{DAG_ID}"), "the DAG is there")
    airflow.call("PATCH", f"/dags/{DAG_ID}", json={"is_paused": False})


def wait_until(done: Callable[[], Any], what: str) -> Any:
    """Poll `done` until it is true; connection faults count as not yet, services are restarted meanwhile."""
    deadline, last = time.monotonic() + WAIT_SECONDS, None
    while time.monotonic() < deadline:
        try:
            value = done()
        except Exception as error:
            value, last = None, error
        if value:
            return value
        time.sleep(2)
    raise AssertionError(f"not within {WAIT_SECONDS:.0f} s: {what}; last fault: {last!r}")


def aws(service: str) -> Any:
    """A client of what the connection aws_default names."""
    import boto3
    from botocore.config import Config

    connection = json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])
    extra = connection["extra"]
    return boto3.client(
        service,
        region_name=extra["region_name"],
        endpoint_url=extra["service_config"].get(service, {}).get("endpoint_url") or extra.get("endpoint_url"),
        aws_access_key_id=connection.get("login"),
        aws_secret_access_key=connection.get("password"),
        config=Config(**extra.get("config_kwargs", {})),
    )


def runs(airflow: AirflowClient, partitions: set[str]) -> dict[str, dict[str, Any]]:
    """The finished runs of these partitions, by partition; fails as soon as one has failed."""
    found = {r["partition_key"]: r for r in airflow.get(f"/dags/{DAG_ID}/dagRuns", limit=200)["dag_runs"]}
    chosen = {key: found[key] for key in partitions if key in found}
    failed = [run["dag_run_id"] for run in chosen.values() if run["state"] == "failed"]
    if failed:
        pytest.fail(f"failed: {failed}\n{last_log(airflow, failed[0])}")
    return {key: run for key, run in chosen.items() if run["state"] == "success"}


def last_log(airflow: AirflowClient, run_id: str) -> str:
    for task in airflow.task_instances(DAG_ID, run_id):
        if task["state"] == "failed":
            return f"{task['task_id']}: {airflow.log(DAG_ID, run_id, task['task_id'], task['try_number'])[-3000:]}"
    return ""


def test_every_component_is_healthy(airflow: AirflowClient) -> None:
    parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    assert wait_until(lambda: airflow.healthy(*parts), "all components healthy")


def test_the_dag_imports(airflow: AirflowClient) -> None:
    wait_until(lambda: airflow.exists(f"/dags/{DAG_ID}"), "the DAG is there")
    assert airflow.get("/importErrors")["import_errors"] == []


def test_a_wrong_password_is_refused() -> None:
    import httpx

    stranger = AirflowClient(os.environ["STACK_URL"], "admin", "wrong")
    with pytest.raises(httpx.HTTPStatusError) as refused:
        stranger.sign_in()
    assert refused.value.response.status_code == 401


def test_the_local_sagemaker_refuses_other_keys() -> None:
    import boto3
    from botocore.exceptions import ClientError

    extra = json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]
    if not extra.get("endpoint_url"):
        pytest.skip("the profile aws has no local SageMaker")
    for service in ("sagemaker", "s3"):
        url = extra["service_config"][service].get("endpoint_url") or extra["endpoint_url"]
        stranger = boto3.client(
            service, "us-east-1", endpoint_url=url, aws_access_key_id="AKIASTRANGER", aws_secret_access_key="x" * 40
        )
        call = stranger.list_pipelines if service == "sagemaker" else stranger.list_buckets
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)


@pytest.mark.usefixtures("unpaused")
@pytest.mark.timeout(WAIT_SECONDS + 60)
def test_one_partition_by_hand_and_a_backfill_of_three_days(airflow: AirflowClient) -> None:
    """1 + 3 executions Succeeded, with one artifact each, and one asset event for each."""
    days = {SINGLE, "2013-07-08", "2013-07-09", "2013-07-10"}
    present = {run["partition_key"] for run in airflow.get(f"/dags/{DAG_ID}/dagRuns", limit=200)["dag_runs"]}
    if SINGLE not in present:
        airflow.trigger(DAG_ID, partition=SINGLE)
    if not present & (days - {SINGLE}):
        body = {"dag_id": DAG_ID, "from_date": f"{BACKFILL[0]}T00:00:00Z", "to_date": f"{BACKFILL[1]}T00:00:00Z"}
        airflow.call("POST", "/backfills", json={**body, "max_active_runs": 2, "reprocess_behavior": "none"})
    finished = wait_until(lambda: len(done := runs(airflow, days)) == len(days) and done, f"runs of {sorted(days)}")
    outcomes = {day: airflow.xcom(DAG_ID, run["dag_run_id"], "wait_for_training") for day, run in finished.items()}
    assert {outcome["status"] for outcome in outcomes.values()} == {"Succeeded"}
    assert len({outcome["execution_arn"] for outcome in outcomes.values()}) == len(days)
    check_executions(outcomes)
    check_artifacts(outcomes)
    check_events(airflow, {run["dag_run_id"] for run in finished.values()})


@pytest.mark.usefixtures("unpaused")
@pytest.mark.timeout(WAIT_SECONDS + 60)
@pytest.mark.skipif("STACK_EXTRA" not in os.environ, reason="no extra partition was asked for")
def test_an_extra_partition(airflow: AirflowClient) -> None:
    day = os.environ["STACK_EXTRA"]
    run_id = airflow.trigger(DAG_ID, partition=day)["dag_run_id"]
    wait_until(lambda: runs(airflow, {day}), f"the run of {day}")
    outcome = airflow.xcom(DAG_ID, run_id, "wait_for_training")
    check_executions({day: outcome})
    check_artifacts({day: outcome})


def check_executions(outcomes: dict[str, dict[str, Any]]) -> None:
    """Each partition has exactly one execution: nothing was started twice while services went down and up."""
    pages = aws("sagemaker").get_paginator("list_pipeline_executions").paginate(PipelineName=PIPELINE)
    listed = [item for page in pages for item in page["PipelineExecutionSummaries"]]
    for day, outcome in outcomes.items():
        same_day = [item for item in listed if day in item.get("PipelineExecutionDisplayName", "")]
        assert [item["PipelineExecutionArn"] for item in same_day] == [outcome["execution_arn"]], day
        assert same_day[0]["PipelineExecutionStatus"] == "Succeeded"


def check_artifacts(outcomes: dict[str, dict[str, Any]]) -> None:
    s3, seen = aws("s3"), set()
    for outcome in outcomes.values():
        bucket, _, key = outcome["model_artifact"].removeprefix("s3://").partition("/")
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] > 0
        seen.add(key)
    assert len(seen) == len(outcomes)


def check_events(airflow: AirflowClient, run_ids: set[str]) -> None:
    events = airflow.get("/assets/events", limit=500)["asset_events"]
    assets = {asset["id"]: asset["name"] for asset in airflow.get("/assets")["assets"]}
    models = [e for e in events if assets.get(e["asset_id"]) == "flight_delay_model" and e["source_run_id"] in run_ids]
    assert sorted(e["source_run_id"] for e in models) == sorted(run_ids)
