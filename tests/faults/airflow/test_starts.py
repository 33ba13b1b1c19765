"""Starts that heal, starts that are refused by name, and roles with less."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults.airflow.conftest import Bench
from tests.support.fault_proxy import ANSWERS

IN_BETWEEN = ["html403", "html404", "html407", "html408", "html413", "login", "json404"]


def own_pipeline(bench: Bench, suffix: str, **changes: Any) -> dict[str, Any]:
    """A configuration whose pipeline no other test has."""
    inputs = f"s3://{bench.shop.bucket}/{bench.name}/input/2013-07-04"
    return bench.config(pipeline_name=f"{bench.name}-{suffix}", input_path=inputs, **changes)


def stop(bench: Bench, arn: str) -> None:
    bench.stop(arn)


@pytest.mark.parametrize("fault", [*IN_BETWEEN, "conflict", "error500", "skew", "strange"])
def test_a_retry_that_a_fault_meets_goes_on_with_its_own(bench: Bench, fault: str) -> None:
    """One answer that is none must not mean "deleted": the advice to clear would start a second one beside it."""
    first = bench.work().result()["returned"]
    bench.proxy.inject("DescribePipelineExecution", fault)
    retry = bench.work(try_number=2).result()
    if fault in {"conflict", "strange"}:  # nobody knows what it means: the try fails, and the next one asks again
        assert "may have been deleted" not in retry["message"]
        retry = bench.work(try_number=3).result()
    assert retry["returned"] == first, retry
    assert len(bench.executions()) == 1


@pytest.mark.parametrize("fault", ["html407", "html404"])
def test_a_clear_that_a_proxys_page_meets_never_leaves_two(bench: Bench, fault: str) -> None:
    first = bench.work(max_tries=1).result()["returned"]
    bench.proxy.inject("DescribePipelineExecution", fault)
    second = bench.work(max_tries=2, try_number=2).result()["returned"]
    assert (bench.status(first), bench.status(second)) == ("Stopped", "Executing")


@pytest.mark.parametrize("fault", ["conflict", "html407", "skew", "expired"])
def test_a_start_heals(bench: Bench, fault: str) -> None:
    bench.proxy.inject("StartPipelineExecution", fault)
    worker = bench.work()
    assert worker.result()["returned"], worker.log
    assert len(bench.executions()) == 1


def test_a_version_that_is_not_visible_at_once_is_waited_for(bench: Bench) -> None:
    config = own_pipeline(bench, "new")
    bench.proxy.inject("StartPipelineExecution", "gone", times=2)
    worker = bench.work(operator={"config": config})
    arn = worker.result()["returned"]
    assert arn, worker.result()
    assert "the version is not visible yet" in worker.log
    stop(bench, arn)


def moved(bench: Bench, details: dict[str, Any]) -> None:
    """As another tool does: the alias of a definition names a version of another one."""
    name, alias = details["pipeline_name"], details["version_alias"]
    found = bench.sagemaker.describe_pipeline(PipelineName=name)
    definition = json.loads(found["PipelineDefinition"])
    definition["Metadata"] = {"by": "another tool"}
    reply = bench.sagemaker.update_pipeline(
        PipelineName=name, PipelineDefinition=json.dumps(definition), RoleArn=found["RoleArn"]
    )
    for version, operations in ((1, {"Remove": [alias]}), (reply["PipelineVersionId"], {"Add": [alias]})):
        bench.sagemaker.update_pipeline_version(
            PipelineArn=found["PipelineArn"], PipelineVersionId=version, PipelineVersionAliasOperations=operations
        )


def test_an_alias_that_somebody_has_moved_is_noticed(bench: Bench) -> None:
    operator = {"config": own_pipeline(bench, "moved")}
    first = bench.work(run_id="first", operator=operator).result()
    stop(bench, first["returned"])
    details = first["pushed"]["training_pipeline"]
    moved(bench, details)
    result = bench.work(run_id="second", operator=operator).result()
    assert result["error"] == "AirflowFailException", result
    assert "it was moved" in result["message"]
    assert details["version_alias"] in result["message"]


def test_tags_follow_the_configuration(bench: Bench) -> None:
    first = bench.work(run_id="a", operator={"config": own_pipeline(bench, "tags", tags={"team": "a"})}).result()
    stop(bench, first["returned"])
    second = bench.work(run_id="b", operator={"config": own_pipeline(bench, "tags", tags={"team": "b"})}).result()
    stop(bench, second["returned"])
    again = bench.work(run_id="c", operator={"config": own_pipeline(bench, "tags", tags={"team": "a"})}).result()
    stop(bench, again["returned"])
    pipeline = bench.sagemaker.describe_pipeline(PipelineName=f"{bench.name}-tags")["PipelineArn"]
    tags = bench.sagemaker.list_tags(ResourceArn=pipeline)["Tags"]
    assert {"Key": "team", "Value": "a"} in tags


S3_DENIED = ANSWERS["s3_denied"]


def test_a_role_that_may_not_look_at_the_inputs_is_told_which_right_and_what_else(bench: Bench) -> None:
    bench.s3_proxy.inject("ListObjectsV2", S3_DENIED, times=99)
    bench.s3_proxy.inject("HeadObject", S3_DENIED, times=99)
    result = bench.work().result()
    assert result["error"] == "AirflowFailException", result
    for word in ("s3:ListBucket", "s3:GetObject", "preflight=False"):
        assert word in result["message"]
    assert bench.executions() == []


def test_a_role_that_may_only_read_the_objects_looks_at_each(bench: Bench) -> None:
    bench.s3_proxy.inject("ListObjectsV2", S3_DENIED, times=99)
    assert bench.work().result()["returned"]
    assert bench.s3_proxy.calls["HeadObject"] >= 3


def test_a_folder_of_parts_is_a_channel(bench: Bench) -> None:
    folder = f"{bench.name}/spark/2013-07-04"
    for channel in ("train", "val", "test"):
        bench.s3.put_object(Bucket=bench.shop.bucket, Key=f"{folder}/{channel}/{channel}.parquet/_SUCCESS", Body=b"")
        bench.s3.put_object(
            Bucket=bench.shop.bucket, Key=f"{folder}/{channel}/{channel}.parquet/part-00000.parquet", Body=b"PAR1"
        )
    config = bench.config(input_path=f"s3://{bench.shop.bucket}/{folder}")
    assert bench.work(operator={"config": config}).result()["returned"]
    bench.s3.delete_object(Bucket=bench.shop.bucket, Key=f"{folder}/val/val.parquet/part-00000.parquet")
    result = bench.work(run_id="again", operator={"config": config}).result()
    assert "channel 'val'" in result["message"]
    assert "channel 'train'" not in result["message"]


def test_a_role_that_may_not_list_is_told_why_it_should(bench: Bench) -> None:
    bench.proxy.inject("ListPipelineExecutions", "denied", times=99)
    result = bench.work(operator={"on_busy": "wait"}).result()
    assert result["error"] == "AirflowFailException"
    assert "sagemaker:ListPipelineExecutions" in result["message"]
    assert "on_busy='ignore'" in result["message"]
    assert bench.work(operator={"on_busy": "ignore"}).result()["returned"]


def test_a_role_that_may_only_start_starts_once_and_its_retry_goes_on(bench: Bench) -> None:
    assert bench.work(run_id="publishes").result()["returned"]
    for operation in (
        "ListPipelineExecutions",
        "DescribePipeline",
        "DescribePipelineExecution",
        "StopPipelineExecution",
    ):
        bench.proxy.inject(operation, "denied", times=99)
    only = {"on_busy": "ignore", "preflight": False}
    bench.work(run_id="starts", halt="before_arn", operator=only).kill_at("before_arn")
    second = bench.work(run_id="starts", try_number=2, operator=only)
    arn = second.result()["returned"]
    assert arn, second.result()
    assert "sagemaker:DescribePipeline" in second.log
    assert "by its token only" in second.log
    third = bench.work(run_id="starts", try_number=3, operator=only)
    assert third.result()["returned"] == arn
    assert "the status of" in third.log
    assert len(bench.executions()) == 2


def test_the_task_state_store_must_last(bench: Bench) -> None:
    bench.settings["AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS"] = "True"
    result = bench.work().result()
    assert result["error"] == "AirflowFailException"
    assert "[state_store] clear_on_success" in result["message"]
    assert sum(bench.proxy.calls.values()) == 0
    assert bench.work(operator={"deferrable": True}).result()["error"] == "TaskDeferred"


def test_a_clear_counts_though_lowered_retries_hide_it(bench: Bench) -> None:
    """retries 3, then 2, cleared at its first try: max_tries is 1 + 2, as it was."""
    first = bench.work(max_tries=3, clear_number=0, operator={"retries": 3}).result()["returned"]
    cleared = {"max_tries": 3, "clear_number": 1, "operator": {"retries": 2}}
    second = bench.work(**cleared, try_number=2).result()["returned"]
    assert (bench.status(first), bench.status(second)) == ("Stopped", "Executing")
    assert bench.parameters(first)["CheckpointPath"] != bench.parameters(second)["CheckpointPath"]
    assert bench.work(**cleared, try_number=3).result()["returned"] == second, "a retry of the cleared task goes on"


def test_a_neighbours_clear_is_none_of_this_task(bench: Bench) -> None:
    first = bench.work(max_tries=3, clear_number=0, operator={"retries": 3}).result()["returned"]
    retry = bench.work(max_tries=3, clear_number=1, try_number=2, operator={"retries": 3}).result()
    assert retry["returned"] == first


def test_a_record_of_a_later_version_is_refused_before_any_call(bench: Bench) -> None:
    worker = bench.work()
    assert worker.result()["returned"]
    stored = json.loads(worker.store.read_text())
    stored["training_execution"]["schema"] = 99
    worker.store.write_text(json.dumps(stored))
    calls = sum(bench.proxy.calls.values())
    result = bench.work(try_number=2).result()
    assert result["error"] == "AirflowFailException"
    assert "written by a later version" in result["message"]
    assert sum(bench.proxy.calls.values()) == calls


@pytest.mark.parametrize("partition", ["2026-06-09|us-east", "2026-06-09T00:00:00+08:00", "台北/2026", ".hidden"])
def test_any_partition_key_is_trained(bench: Bench, partition: str) -> None:
    from airflow_sagemaker.config.partition_keys import partition_folder

    folder = partition_folder(partition)
    bench.put_channels(folder)
    result = bench.work(partition=partition, run_id=f"run-{len(partition)}").result()
    assert result["returned"], result
    assert result["pushed"]["training_pipeline"]["partition"] == partition
    assert bench.parameters(result["returned"])["OutputPath"].endswith(f"/{folder}")
    owner = json.loads(bench.executions()[0]["PipelineExecutionDescription"])
    assert owner["partition"] == partition


def test_two_partitions_that_disagree_are_refused(bench: Bench) -> None:
    config = bench.config(partition="2013-07-05")
    result = bench.work(operator={"config": config, "partition": "2013-07-06"}).result()
    assert result["error"] == "AirflowFailException"
    assert "'2013-07-05'" in result["message"]
    assert "'2013-07-06'" in result["message"]
    assert sum(bench.proxy.calls.values()) == 0
