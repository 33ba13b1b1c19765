"""`publish`: what CI leaves is what an Airflow without the SageMaker SDK starts, and nothing else is believed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import airflow_sagemaker
from airflow_sagemaker import PytorchScoringConfig, PytorchTrainingConfig
from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.versions import CompiledPipeline
from airflow_sagemaker.cli import main
from airflow_sagemaker.config.base import BasePipelineConfig
from airflow_sagemaker.definition.compiler import compile_pipeline
from airflow_sagemaker.definition.disk_cache import DiskCache
from airflow_sagemaker.definition.published import Publications
from airflow_sagemaker.exceptions import CompileError, SdkNotAvailable
from tests.support.fault_proxy import FaultProxy

IMPORTS = Path(airflow_sagemaker.__file__).parents[1]


class Project:
    """A configuration file, the CI that publishes it and an Airflow that has no SDK."""

    def __init__(self, server: Any, config: PytorchTrainingConfig, folder: Path, capsys: Any) -> None:
        self.server, self.capsys = server, capsys
        self.s3, self.sagemaker = server.client("s3"), server.client("sagemaker")
        name = f"published-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
        self.config = config.updated(pipeline_name=name, bucket=name)
        self.s3.create_bucket(Bucket=name)
        self.no_sdk = folder / "no-sdk"
        self.no_sdk.symlink_to("/bin/false")
        self.file = folder / "training.yaml"
        self.cache = DiskCache(folder / "airflow-cache")
        self.write()

    def write(self, **changes: Any) -> None:
        self.config = self.config.updated(**changes)
        self.file.write_text(yaml.safe_dump(self.config.to_dict()))

    def publish(self, *options: str) -> tuple[int, dict[str, Any]]:
        code = main(["publish", str(self.file), "--json", "--patience", "1", *options])
        return code, json.loads(self.capsys.readouterr().out)

    def airflow(self, config: BasePipelineConfig | None = None) -> CompiledPipeline:
        """What a worker without an SDK would start."""
        config = config or self.config
        target: Any = SimpleNamespace(client=self.server.client, key=lambda: "test", forget=lambda: None)
        aws = Aws(target, logging.getLogger("airflow_sagemaker.test"), patience=1)
        place = Publications(aws, str(config.bucket), config.pipeline_name, str(config.role_arn))
        return compile_pipeline(config, sdk_python=str(self.no_sdk), cache=self.cache, published=place)

    def publications(self) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.config.bucket, Prefix=f"{self.config.pipeline_name}/published/")
        return sorted(found["Key"].rpartition("/")[2] for found in listed.get("Contents", []))

    def versions(self) -> int:
        listed = self.sagemaker.list_pipeline_versions(PipelineName=self.config.pipeline_name)
        return len(listed["PipelineVersionSummaries"])

    def forge(self, **changes: Any) -> None:
        """Change the publication, as somebody can who may write to the bucket."""
        for name in self.publications():
            key = f"{self.config.pipeline_name}/published/{name}"
            content = json.loads(self.s3.get_object(Bucket=self.config.bucket, Key=key)["Body"].read())
            self.s3.put_object(Bucket=self.config.bucket, Key=key, Body=json.dumps(content | changes).encode())


@pytest.fixture
def project(
    local_aws: Any, config: PytorchTrainingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Project:
    return Project(local_aws, config, tmp_path, capsys)


def test_what_was_published_starts_without_an_sdk(project: Project) -> None:
    code, said = project.publish()
    assert (code, said["published"][0]["changed"]) == (0, True)
    found = project.airflow()
    assert found.version_alias == said["published"][0]["version_alias"]
    assert found.definition == compile_pipeline(project.config).definition
    reply = project.sagemaker.describe_pipeline(
        PipelineName=found.pipeline_name, PipelineVersionAlias=found.version_alias
    )
    assert json.loads(reply["PipelineDefinition"]) == json.loads(found.definition)


def test_a_scoring_is_published_once_for_all_partitions_and_models(project: Project) -> None:
    (Path(project.config.source_dir) / "predict.py").write_text("")
    given = {name: getattr(project.config, name) for name in ("bucket", "role_arn", "region", "source_dir")}
    scoring = PytorchScoringConfig(
        **given, pipeline_name=str(project.config.bucket), group="customers", input_path="s3://rows/2026-01-31"
    )
    project.file.write_text(yaml.safe_dump({"kind": "scoring", **scoring.to_dict()}))
    code, said = project.publish()
    assert (code, said["published"][0]["changed"]) == (0, True)
    other = scoring.updated(partition="2031-01-01", model="s3://models/model.tar.gz", input_path="s3://rows/2031-01-01")
    found = project.airflow(other)
    assert found.version_alias == said["published"][0]["version_alias"]
    assert [step["Name"] for step in json.loads(found.definition)["Steps"]] == ["Score"]


def test_what_belongs_to_a_run_needs_no_new_publication(project: Project) -> None:
    project.publish()
    hyperparameters = project.config.hyperparameters.model_dump() | {"epochs": 77}
    other = project.config.updated(
        partition="2031-01-01", training_instance_type="ml.g5.xlarge", hyperparameters=hyperparameters
    )
    assert project.airflow(other).digest == project.airflow().digest


def test_a_second_time_nothing_changes_and_check_says_so(project: Project) -> None:
    assert project.publish("--check")[0] == 1
    assert project.publications() == []
    project.publish()
    before = project.publications()
    code, said = project.publish()
    assert (code, said["published"][0]["changed"]) == (0, False)
    assert project.publish("--check")[0] == 0
    assert (project.publications(), project.versions()) == (before, 1)
    project.write(max_runtime_seconds=1234)
    assert project.publish("--check")[0] == 1
    assert project.versions() == 1


def test_without_a_publication_one_line_names_the_command_and_what_differs(project: Project) -> None:
    with pytest.raises(SdkNotAvailable) as nothing:
        project.airflow()
    assert "airflow-sagemaker publish CONFIG.yaml" in str(nothing.value)
    assert "\n" not in str(nothing.value)
    project.publish()
    with pytest.raises(SdkNotAvailable, match=r"differs in max_runtime_seconds, tags: run"):
        project.airflow(project.config.updated(max_runtime_seconds=1234, tags={"team": "x"}))
    (Path(project.config.source_dir) / "train.py").write_text("print('changed')")
    with pytest.raises(SdkNotAvailable, match="differs in source_dir: run"):
        project.airflow()


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("CreatePipeline", "denied"),
        pytest.param("CreatePipeline", "lose_reply", marks=pytest.mark.slow),
        pytest.param("UpdatePipeline", "denied", marks=pytest.mark.slow),
        pytest.param("UpdatePipeline", "reset", marks=pytest.mark.slow),
        ("PutObject", "s3_denied"),
        pytest.param("PutObject", "reset", marks=pytest.mark.slow),
    ],
)
def test_a_publish_that_fails_half_way_is_not_found_and_a_second_one_completes_it(
    project: Project, operation: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "AWS_ENDPOINT_URL_S3" if operation == "PutObject" else "AWS_ENDPOINT_URL"
    endpoint = os.environ[variable]
    with FaultProxy(endpoint) as proxy:
        proxy.inject(operation, fault, times=99, after=3 if operation == "PutObject" else 0)
        monkeypatch.setenv(variable, proxy.url)
        assert project.publish()[0] == 4
    assert proxy.calls[operation] > 0
    monkeypatch.setenv(variable, endpoint)
    completes(project)


def test_a_publish_without_its_bucket_deploys_nothing(project: Project) -> None:
    project.s3.delete_bucket(Bucket=project.config.bucket)
    code, said = project.publish()
    assert (code, said["ok"]) == (4, False)
    assert "NoSuchBucket" in said["message"]
    with pytest.raises(project.sagemaker.exceptions.ResourceNotFound):
        project.versions()
    project.s3.create_bucket(Bucket=project.config.bucket)
    completes(project)


def completes(project: Project) -> None:
    """Nothing of the first publish is found; a second one is whole."""
    assert project.publications() == []
    with pytest.raises(SdkNotAvailable):
        project.airflow()
    assert project.publish()[0] == 0
    assert project.airflow().pipeline_name == project.config.pipeline_name


def test_a_publication_that_sagemaker_does_not_confirm_is_not_believed(project: Project) -> None:
    project.publish()
    definition = project.airflow().definition.replace("LocalSageMakerRole", "Administrator")
    project.forge(definition=definition)
    with pytest.raises(SdkNotAvailable, match="airflow-sagemaker publish"):
        project.airflow()


def test_a_publication_of_other_code_is_not_believed(project: Project) -> None:
    project.publish()
    project.forge(code={"train.py": "0" * 64})
    with pytest.raises(SdkNotAvailable, match="its code differs"):
        project.airflow()


def test_a_format_of_a_later_version_is_refused_by_name(project: Project) -> None:
    project.publish()
    project.forge(format=2)
    with pytest.raises(CompileError, match="published in format 2, but this version reads format 1"):
        project.airflow()


DAG = """
from airflow.sdk import DAG
from airflow_sagemaker import PytorchTrainingConfig, SageMakerTrainingPipelineOperator

with DAG("training", schedule=None):
    SageMakerTrainingPipelineOperator(task_id="from_file", config="training.yaml")
    SageMakerTrainingPipelineOperator(task_id="as_dict", config={
        "pipeline_name": "NAME-two", "source_dir": "SOURCE", "partition": "{{ ds }}",
        "input_path": "s3://x/{{ ds }}/data", "profiler": None, "install_requirements": False,
        "hyperparameters": {"id_name": "id", "label_name": "y", "full_field_list": ["id", "y", "a"],
                            "tab_field_list": ["a"], "epochs": "{{ params.epochs }}"},
    })
"""


def test_every_configuration_of_a_dag_folder_is_published(project: Project) -> None:
    name, folder = project.config.pipeline_name, project.file.parent
    (folder / "training_dag.py").write_text(DAG.replace("NAME", name).replace("SOURCE", str(project.config.source_dir)))
    of_connection = ["--bucket", name, "--role-arn", str(project.config.role_arn), "--region", "us-east-1"]
    done = subprocess.run(
        [sys.executable, "-m", "airflow_sagemaker", "publish", str(folder), "--json", *of_connection],
        env={**os.environ, "PYTHONPATH": str(IMPORTS), "AIRFLOW_HOME": str(folder / "airflow")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    published = json.loads(done.stdout)["published"]
    assert sorted(found["pipeline_name"] for found in published) == [name, f"{name}-two"]
