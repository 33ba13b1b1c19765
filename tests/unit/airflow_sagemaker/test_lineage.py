"""What OpenLineage is told, in the classes of its provider; skipped where that is not installed."""

from __future__ import annotations

import pytest

from airflow_sagemaker.lineage import lineage_of_parameters


def test_the_three_channels_go_in_and_the_model_comes_out() -> None:
    pytest.importorskip("airflow.providers.openlineage", reason="apache-airflow-providers-openlineage is not installed")
    parameters = {"InputPath": "s3://b/in/2013-07-04/", "OutputPath": "s3://b/out/2013-07-04"}
    lineage = lineage_of_parameters(parameters, "s3://b/out/2013-07-04/job/output/model.tar.gz")
    assert [(d.namespace, d.name) for d in lineage.inputs] == [
        ("s3://b", f"in/2013-07-04/{channel}/{channel}.parquet") for channel in ("train", "val", "test")
    ]
    assert [d.name for d in lineage.outputs] == ["out/2013-07-04/job/output/model.tar.gz"]


def test_without_a_known_model_the_output_path_is_named() -> None:
    pytest.importorskip("airflow.providers.openlineage", reason="apache-airflow-providers-openlineage is not installed")
    assert [d.name for d in lineage_of_parameters({"OutputPath": "s3://b/out"}).outputs] == ["out"]
