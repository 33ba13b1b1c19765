"""The guide's pipeline of a user's own: compiled, started by the operator's own code paths, and run."""

from __future__ import annotations

import importlib
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker.config.kinds import class_of, config_class
from airflow_sagemaker.definition.compiler import compile_pipeline
from airflow_sagemaker.exceptions import CompileError, ConfigurationError
from airflow_sagemaker.start.rendering import render_settings
from airflow_sagemaker.start.run_config import plain_config
from tests.docs.pages import ROOT, blocks_of
from tests.integration.compile.conftest import ROLE
from tests.support.waiting import wait_until

GUIDE = ROOT / "docs" / "guides" / "own-kind.md"
KIND = "row_count:RowCountConfig"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The guide's two modules on Python's path."""
    for block in blocks_of(GUIDE):
        (tmp_path / block.marks["file"]).write_text(block.text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("row_count").RowCountConfig
    sys.modules.pop("row_count", None)


def configured(own: Any, **changes: Any) -> Any:
    bucket = f"own-{uuid.uuid4().hex[:8]}"
    return own(
        **{
            "bucket": bucket, "role_arn": ROLE, "region": "us-east-1", "pipeline_name": bucket,
            "input_path": f"s3://{bucket}/rows/table.csv", "output_path": f"s3://{bucket}/counts/2026-01-31",
            "partition": "2026-01-31", **changes,
        }
    )  # fmt: skip


def test_the_guides_kind_runs(own: Any, local_sagemaker: Any) -> None:
    config = configured(own)
    compiled = compile_pipeline(config)
    assert "row_count_steps" not in sys.modules, "its steps are imported in the compile process only"
    s3, sagemaker = local_sagemaker.client("s3"), local_sagemaker.client("sagemaker")
    s3.create_bucket(Bucket=config.bucket)
    s3.put_object(Bucket=config.bucket, Key="rows/table.csv", Body=b"a\nb\nc\n")
    sagemaker.create_pipeline(
        PipelineName=config.pipeline_name, PipelineDefinition=compiled.definition, RoleArn=ROLE,
        ClientRequestToken=config.pipeline_name.ljust(32, "-"),
    )  # fmt: skip
    arn = sagemaker.start_pipeline_execution(
        PipelineName=config.pipeline_name,
        PipelineParameters=[{"Name": name, "Value": text} for name, text in config.pipeline_parameters().items()],
    )["PipelineExecutionArn"]

    def status() -> str:
        return str(sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])

    wait_until(lambda: status() not in ("Executing", "Stopping"), "the end")
    assert status() == "Succeeded"
    count = s3.get_object(Bucket=config.bucket, Key="counts/2026-01-31/count")["Body"].read()
    assert count.split() == [b"3"]


def test_a_definition_holds_no_value_of_a_run(own: Any) -> None:
    config = configured(own)
    other = config.updated(input_path="s3://elsewhere/rows.csv", partition="2026-02-01")
    assert compile_pipeline(config).digest == compile_pipeline(other).digest
    assert compile_pipeline(config.updated(instance_type="ml.m5.xlarge")).digest != compile_pipeline(config).digest


def test_its_class_survives_plain_data_and_templates(own: Any) -> None:
    given = plain_config(configured(own, input_path="s3://b/{{ ds }}/rows"))
    assert given["kind"] == KIND
    rendered = render_settings(given, lambda values: {**values, "input_path": "s3://b/2026-01-31/rows"})
    built = class_of(rendered).from_dict(rendered)
    assert isinstance(built, own)
    assert built.input_path == "s3://b/2026-01-31/rows"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("forecast", "use one of scoring, training, or your own"),
        ("no_such_module:Config", "cannot be imported"),
        ("json:JSONDecoder", "must be a subclass of BasePipelineConfig"),
    ],
)
def test_a_kind_that_does_not_exist_is_said(kind: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        config_class(kind)


def test_steps_that_cannot_be_imported_are_said(own: Any) -> None:
    class Lost(own):  # type: ignore[misc]
        steps = "no_such_module:steps"

    with pytest.raises(CompileError, match="no_such_module"):
        compile_pipeline(configured(Lost))
