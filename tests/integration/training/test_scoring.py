"""Scoring a partition with a real model on the local server, by the compiled pipeline of `PytorchScoringConfig`."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_sagemaker import PytorchScoringConfig
from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.model_registry import ModelRegistry
from airflow_sagemaker.definition.compiler import compile_pipeline
from airflow_sagemaker.exceptions import ConfigurationError
from tests.support.training_jobs import FIELDS, Job
from tests.support.waiting import wait_until
from training import compare
from training.predict import predict

ROLE = "arn:aws:iam::123456789012:role/LocalSageMakerRole"


class Direct:
    """A target without Airflow: the local server's clients."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def client(self, service: str) -> Any:
        return self._server.client(service)

    def forget(self) -> None:
        """Nothing is cached."""


class Scorings:
    """A bucket with a model in it, and scorings of tables in it."""

    def __init__(self, server: Any, model: Path) -> None:
        self.bucket = f"scores-{uuid.uuid4().hex[:8]}"
        self.s3, self.sagemaker = server.client("s3"), server.client("sagemaker")
        self.s3.create_bucket(Bucket=self.bucket)
        self.s3.upload_file(str(model), self.bucket, "models/model.tar.gz")
        self.model = f"s3://{self.bucket}/models/model.tar.gz"
        self.registry = Aws(Direct(server))  # type: ignore[arg-type]
        self.deployed = False

    def config(self, **changes: Any) -> PytorchScoringConfig:
        given = {
            "bucket": self.bucket, "role_arn": ROLE, "region": "us-east-1", "pipeline_name": self.bucket,
            "partition": "2026-01-31", "input_path": f"s3://{self.bucket}/rows", "model": self.model,
        }  # fmt: skip
        return PytorchScoringConfig(**{**given, **changes})

    def resolved(self, **changes: Any) -> PytorchScoringConfig:
        return self.config(**changes).resolved(lambda group: ModelRegistry(self.registry, group))

    def put_rows(self, table: pa.Table, key: str = "rows/part-0.parquet") -> None:
        body = io.BytesIO()
        pq.write_table(table, body)
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body.getvalue())

    def run(self, config: PytorchScoringConfig) -> tuple[str, str]:
        """Deploy if that has not been done, start, and wait for the end: status and the step's reason."""
        if not self.deployed:
            compiled = compile_pipeline(config)
            for upload in compiled.uploads:
                self.s3.put_object(Bucket=upload.bucket, Key=upload.key, Body=Path(upload.path).read_bytes())
            self.sagemaker.create_pipeline(
                PipelineName=config.pipeline_name, PipelineDefinition=compiled.definition, RoleArn=ROLE,
                ClientRequestToken=config.pipeline_name.ljust(32, "-"),
            )  # fmt: skip
            self.deployed = True
        parameters = [{"Name": name, "Value": value} for name, value in config.pipeline_parameters().items()]
        arn = self.sagemaker.start_pipeline_execution(PipelineName=config.pipeline_name, PipelineParameters=parameters)[
            "PipelineExecutionArn"
        ]

        def status() -> str:
            return str(self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])

        wait_until(lambda: status() not in ("Executing", "Stopping"), "the end of the scoring")
        (step,) = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        return status(), step.get("FailureReason", "")

    def answers(self, partition: str = "2026-01-31") -> pa.Table:
        key = f"{self.bucket}/output/{partition}/predictions.parquet"
        return pq.read_table(io.BytesIO(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()))

    def output_keys(self) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=f"{self.bucket}/output/")
        return [item["Key"] for item in listed.get("Contents", [])]


@pytest.fixture(scope="module")
def model(finished: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(finished.model, ".")
    return path


@pytest.fixture
def scorings(local_sagemaker: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scorings:
    monkeypatch.setenv("AIRFLOW_SAGEMAKER_CACHE_DIR", str(tmp_path.parent / "scoring-cache"))
    return Scorings(local_sagemaker, model)


def rows_of(finished: Job) -> pa.Table:
    return pq.read_table(finished.channels / "test" / "test.parquet").drop_columns([FIELDS["label_name"]])


def test_the_champion_scores_a_partition(scorings: Scorings, finished: Job, model: Path, tmp_path: Path) -> None:
    group = scorings.bucket
    scorings.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    package = scorings.sagemaker.create_model_package(
        ModelPackageGroupName=group, ModelApprovalStatus="Approved",
        InferenceSpecification={"Containers": [{"Image": "i", "ModelDataUrl": scorings.model}]},
    )["ModelPackageArn"]  # fmt: skip
    rows = rows_of(finished)
    half = rows.num_rows // 2
    scorings.put_rows(rows.slice(0, half))
    scorings.put_rows(rows.slice(half), "rows/part-1.parquet")
    assert scorings.run(scorings.resolved(model="champion", group=group)) == ("Succeeded", "")
    found = scorings.answers()
    assert set(found["model"].to_pylist()) == {package}
    assert set(found["partition"].to_pylist()) == {"2026-01-31"}
    pq.write_table(rows, tmp_path / "rows.parquet")
    by_hand = predict(model, tmp_path / "rows.parquet")
    for name in (FIELDS["id_name"], "label"):
        assert found[name].to_pylist() == by_hand[name].to_pylist()
    assert np.allclose(found["probability"], by_hand["probability"]), (
        "but for the last bits, which other batches change"
    )


def test_rows_of_another_table_leave_no_output(scorings: Scorings, finished: Job) -> None:
    scorings.put_rows(rows_of(finished).drop_columns(["age"]))
    status, _ = scorings.run(scorings.config())
    assert status == "Failed"
    assert scorings.output_keys() == []


def test_an_empty_partition_leaves_no_output(scorings: Scorings, finished: Job) -> None:
    scorings.put_rows(rows_of(finished).slice(0, 0))
    status, _ = scorings.run(scorings.config())
    assert (status, scorings.output_keys()) == ("Failed", [])


def test_two_models_are_compared_on_the_same_rows(
    finished: Job, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, found = finished.channels / "test", tmp_path / "comparison.json"
    assert compare.main([str(model), str(finished.model), str(rows), str(found)]) == 0
    comparison = json.loads(found.read_text())
    assert comparison["model"] == comparison["champion"]
    test = json.loads((finished.model / "report.json").read_text())["test"]
    for name in ("AUC ROC", "F1 Score", "Loss"):
        assert comparison["champion"][name] == pytest.approx(test[name], abs=1e-3)
    table = pq.read_table(rows / "test.parquet")
    assert comparison["rows"] == table.num_rows

    pq.write_table(table.drop_columns(["age"]), tmp_path / "other.parquet")
    arguments = [str(model), str(finished.model), str(tmp_path / "other.parquet"), str(tmp_path / "none.json")]
    assert compare.main(arguments) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("Error: the model cannot score these rows: missing columns: age; expected")
    assert "\n" not in said
    assert not (tmp_path / "none.json").exists()


def test_a_group_without_a_champion_starts_nothing(scorings: Scorings) -> None:
    with pytest.raises(ConfigurationError, match="has no approved model package"):
        scorings.resolved(model="champion", group="nobody")
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/nobody/7"
    with pytest.raises(ConfigurationError, match="does not exist"):
        scorings.resolved(model=arn)


def test_one_definition_for_all_partitions_and_models(scorings: Scorings) -> None:
    one = compile_pipeline(scorings.config())
    other = scorings.config(partition="2026-02-01", model="s3://elsewhere/models/model.tar.gz", model_name="mine")
    assert compile_pipeline(other).digest == one.digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "champion"}, "is required to find the champion"),
        ({"model": "latest"}, "must be 'champion', the ARN of a model package"),
        ({"output_path": "s3://bucket/rows/answers", "input_path": "s3://bucket/rows"}, "must not contain input_path"),
        ({"input_path": "rows.parquet"}, "input_path"),
        ({"scoring_instance_type": "m5.large"}, "scoring_instance_type"),
    ],
)
def test_what_cannot_score_is_refused_at_once(changes: dict[str, Any], message: str) -> None:
    given = {"input_path": "s3://bucket/rows", "model": "s3://bucket/models/model.tar.gz", "bucket": "bucket"}
    with pytest.raises(ConfigurationError, match=message):
        PytorchScoringConfig(**{**given, **changes})
