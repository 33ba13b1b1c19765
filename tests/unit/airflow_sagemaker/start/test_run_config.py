"""The configuration as the operator is given it: a file beside the DAG."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.config.yaml_files import read_yaml
from airflow_sagemaker.exceptions import ConfigurationError
from airflow_sagemaker.start.run_config import build_config, check_when_parsed, given_data
from tests.support.config_samples import ROLE, settings


def read(folder: Path, text: str, render: Any = lambda content, _: content) -> dict[str, Any]:
    (folder / "training.yaml").write_text(text)
    context = {"dag": SimpleNamespace(fileloc=str(folder / "dag.py"))}
    return given_data("training.yaml", context, render)


def test_a_relative_file_lies_beside_the_dag(tmp_path: Path) -> None:
    assert read(tmp_path, "pipeline_name: flights\n") == {"pipeline_name": "flights"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bucket: a\nbucket: b\n", "duplicate key 'bucket'(?s:.*)line 2"),
        ("- bucket\n", "must be a mapping"),
        ("bucket: [\n", "is not valid YAML"),
        ("bucket: " + "[" * 3000 + "\n", "nested more than 50 levels deep"),
        ("".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 1}]\n" for n in range(12)), "values"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as refused:
        read(tmp_path, text)
    assert str(tmp_path / "training.yaml") in str(refused.value)


@pytest.mark.parametrize("named", ["src", "{{ 'src' }}"])
def test_a_relative_source_dir_lies_beside_the_file_and_not_in_the_workers_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    (tmp_path / "elsewhere" / "src").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = read(tmp_path, f'source_dir: "{named}"\n', lambda content, _: {**content, "source_dir": "src"})
    assert found["source_dir"] == str(tmp_path / "src")
    if named == "src":
        assert found == read_yaml(tmp_path / "training.yaml"), "what `validate` and `from_yaml` read"


def test_a_file_of_another_kind_is_checked_by_that_kind_when_the_dag_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "scoring.yaml"
    path.write_text("kind: scoring\ngroup: churn-models\ninput_path: s3://my-bucket/rows/{{ ds }}\n")
    check_when_parsed(str(path), None)
    path.write_text("kind: scoring\ngroup: churn-models\ninput_pth: s3://my-bucket/rows\n")
    with pytest.raises(ConfigurationError, match=r"did you mean input_path\?"):
        check_when_parsed(str(path), None)


def test_the_region_may_be_that_of_the_connections_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "config"
    shared.write_text("[default]\nregion = eu-west-1\n[profile sso]\nregion = eu-central-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(shared))
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_SSO", '{"conn_type": "aws", "extra": {"profile_name": "sso"}}')

    def region(conn_id: str | None, **changes: Any) -> str | None:
        given = {
            name: value
            for name, value in settings(role_arn=ROLE, **changes).items()
            if name not in {"region", "partition"}
        }
        context: Any = {"dag_run": SimpleNamespace(partition_key=None)}
        built = build_config(
            given | changes, context, partition="2013-07-04", partition_is_given=False, aws_conn_id=conn_id,
            region_name=None,
        )  # fmt: skip
        return built.region

    assert (region("sso"), region(None)) == ("eu-central-1", "eu-west-1")
    assert region("sso", region="us-west-2") == "us-west-2"
