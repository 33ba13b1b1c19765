"""A scoring is started by the operator's own rules: exactly once, whoever dies around the start call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.airflow.conftest import Bench


def scoring(bench: Bench, **changes: Any) -> dict[str, Any]:
    """The configuration of a scoring whose rows and model are there."""
    (bench.shop.source / "predict.py").write_text("")
    for key in ("rows/part-0.parquet", "models/model.tar.gz"):
        bench.s3.put_object(Bucket=bench.shop.bucket, Key=f"{bench.name}-scoring/{key}", Body=b"x")
    return {
        "kind": "scoring",
        "pipeline_name": bench.name,
        "source_dir": str(bench.shop.source),
        "input_path": f"s3://{bench.shop.bucket}/{bench.name}-scoring/rows",
        "model": f"s3://{bench.shop.bucket}/{bench.name}-scoring/models/model.tar.gz",
        **changes,
    }


@pytest.mark.parametrize("fault", ["hold_request", "hold_reply"])
def test_a_killed_start_is_found_by_its_retry(bench: Bench, fault: str) -> None:
    operator = {"config": scoring(bench)}
    held = bench.proxy.inject("StartPipelineExecution", fault)
    worker = bench.work(operator=operator)
    assert held.reached.wait(120), worker.log
    worker.kill()
    held.release()
    bench.proxy.clear()
    retried = bench.work(operator=operator, try_number=2).result()
    assert retried["returned"], retried
    assert len(bench.executions()) == 1
    started = bench.parameters(retried["returned"])
    assert started["Partition"] == "2013-07-04"
    assert started["OutputPath"].endswith(f"/{bench.name}/output/2013-07-04")


def test_a_retry_continues_although_the_champion_is_gone(bench: Bench) -> None:
    started = bench.work(operator={"config": scoring(bench)}).result()["returned"]
    retried = bench.work(operator={"config": scoring(bench, model="champion", group="nobody")}, try_number=2).result()
    assert retried["returned"] == started


def test_without_a_champion_nothing_starts(bench: Bench) -> None:
    result = bench.work(operator={"config": scoring(bench, model="champion", group="nobody")}).result()
    assert (result["error"], "has no approved model package" in result["message"]) == ("AirflowFailException", True)
    assert not bench.proxy.calls["StartPipelineExecution"]


def test_rows_that_are_missing_are_said_before_the_start(bench: Bench) -> None:
    config = scoring(bench, input_path=f"s3://{bench.shop.bucket}/{bench.name}-scoring/none")
    result = bench.work(operator={"config": config}).result()
    assert "the rows" in result["message"]
    assert "does not exist" in result["message"]


PRICES = "AIRFLOW__AIRFLOW_SAGEMAKER__PRICE_PER_HOUR"


def test_a_start_that_may_cost_more_than_max_cost_is_refused(bench: Bench) -> None:
    config = scoring(bench, scoring_instance_type="ml.m5.large", max_runtime_seconds=7200)
    bench.settings = {PRICES: '{"ml.m5.large": 0.25}'}
    refused = bench.work(operator={"config": config, "max_cost": 0.4}).result()
    assert (refused["error"], "1 x ml.m5.large for 2 h: 0.50 USD" in refused["message"]) == (
        "AirflowFailException",
        True,
    ), refused
    bench.settings = {}
    unknown = bench.work(operator={"config": config, "max_cost": 0.6}).result()
    assert "no price is set for ml.m5.large" in unknown["message"], unknown
    assert not bench.proxy.calls["StartPipelineExecution"]
    bench.settings = {PRICES: '{"ml.m5.large": 0.25}'}
    assert bench.work(operator={"config": config, "max_cost": "0.6"}).result()["returned"]
