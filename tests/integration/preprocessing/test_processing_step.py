"""The preprocessing as a step of the definition that would go to AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.aws.versions import CompiledPipeline
from airflow_sagemaker.definition.compiler import compile_pipeline
from preprocessing.flights.table import FLIGHTS

ROOT = Path(__file__).resolve().parents[3]


def compiled(partition: str) -> CompiledPipeline:
    config: Any = {
        "bucket": "bucket",
        "pipeline_name": "flight-delay-in-pipeline",
        "role_arn": "arn:aws:iam::123456789012:role/LocalSageMakerRole",
        "region": "us-east-1",
        "partition": partition,
        "hyperparameters": FLIGHTS.field_lists(),
    }
    return compile_pipeline(
        PytorchTrainingConfig.from_dict(config), dependencies=["flight_delay.processing_step:preprocess_by_hash"]
    )


def test_the_training_follows_a_processing_step_that_feeds_its_channels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = compiled("2013-07-04")
    steps = {step["Name"]: step for step in json.loads(result.definition)["Steps"]}
    assert list(steps) == ["Preprocess", "Train"]
    assert steps["Train"]["DependsOn"] == ["Preprocess"]
    request = steps["Preprocess"]["Arguments"]
    assert request["AppSpecification"]["ContainerArguments"] == [{"Get": "Parameters.InputPath"}, "--split-by", "hash"]
    written = {item["OutputName"]: item["S3Output"]["S3Uri"] for item in request["ProcessingOutputConfig"]["Outputs"]}
    assert written.pop("manifest") == {"Get": "Parameters.InputPath"}
    channels = {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in steps["Train"]["Arguments"]["InputDataConfig"]
    }
    for split, target in written.items():
        assert target == {"Std:Join": {"On": "/", "Values": [{"Get": "Parameters.InputPath"}, split]}}
        output = {"Get": f"Steps.Preprocess.ProcessingOutputConfig.Outputs['{split}'].S3Output.S3Uri"}
        assert channels[split] == {"Std:Join": {"On": "/", "Values": [output, f"{split}.parquet"]}}
    inputs = {item["InputName"]: item["S3Input"] for item in request["ProcessingInputs"]}
    assert inputs["raw"]["S3DataType"] == "ManifestFile"
    assert inputs["previous"]["S3Uri"] == {
        "Std:Join": {"On": "/", "Values": [{"Get": "Parameters.InputPath"}, "previous"]}
    }
    assert "2013-07-04" not in result.definition
    code = inputs["code"]["S3Uri"].removeprefix("s3://bucket/")
    shipped = {upload.key.removeprefix(f"{code}/") for upload in result.uploads if upload.key.startswith(code)}
    assert {"job.sh", "requirements.txt", "__main__.py", "flights/features.py"} <= shipped
    assert compiled("2013-07-05").digest == result.digest


@pytest.mark.slow  # an Airflow of its own, 90 days of flights, a training
@pytest.mark.timeout(600)
def test_the_dag_whose_preprocessing_is_in_the_pipeline_trains(
    run_dag: Callable[..., dict[str, Any]], local_sagemaker: Any, bucket: str
) -> None:
    found = run_dag("flight_delay_in_pipeline", {"epochs": 1, "split_by": "hash"})
    assert found["run"] == "success", found["log"]
    assert found["tasks"] == dict.fromkeys(["extract", "start_training", "wait_for_training", "report"], "success")
    listed = local_sagemaker.client("s3").list_objects_v2(Bucket=bucket, Prefix="flight-delay-in-pipeline/input/")
    names = {item["Key"].removeprefix("flight-delay-in-pipeline/input/2014-03-01/") for item in listed["Contents"]}
    names.remove("previous/previous.json")
    splits = {f"{split}/{split}.parquet" for split in ("train", "val", "test")}
    assert names == {"raw.manifest", "manifest.json", *splits}
    manifest = local_sagemaker.client("s3").get_object(
        Bucket=bucket, Key="flight-delay-in-pipeline/input/2014-03-01/manifest.json"
    )
    manifest = json.loads(manifest["Body"].read())
    assert manifest["split_by"] == "hash"
    assert found["data_checks"] == {"report": manifest["checks"]}
