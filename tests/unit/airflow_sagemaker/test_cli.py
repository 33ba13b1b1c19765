"""The command line where it needs no AWS: validate, overrides, exit codes."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import airflow_sagemaker
from airflow_sagemaker import __version__
from airflow_sagemaker.cli import main
from tests.support.config_samples import settings


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "train.py").write_text("")
    path = tmp_path / "training.yaml"
    path.write_text(yaml.safe_dump(settings(source_dir=str(tmp_path / "source"))))
    return path


def validated(capsys: pytest.CaptureFixture[str], config_file: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["validate", str(config_file), "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_a_valid_file(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(config_file)]) == 0
    out = capsys.readouterr().out
    assert "is valid: pipeline pytorch-training" in out
    assert "not set here, expected from the environment or the Airflow connection: role_arn, region" in out


def test_overrides_reach_settings_hyperparameters_and_dotted_paths(
    config_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    code, data = validated(
        capsys, config_file, "--partition", "2013-07-04",
        "--param", "epochs=3", "--param", "training_instance_count=2", "--param", "tags.team=ml",
    )  # fmt: skip
    assert code == 0
    config = data["config"]
    assert (config["hyperparameters"]["epochs"], config["training_instance_count"]) == (3, 2)
    assert (config["tags"], config["partition"], config["region"]) == ({"team": "ml"}, "2013-07-04", "eu-west-1")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--param", "epochs=0"], "hyperparameters.epochs"),
        (["--param", "epoch=3"], "did you mean hyperparameters.epochs?"),
        (["--param", "epochs"], "must be name=value"),
        (["--param", "bucket.x=1"], "is not a group of settings"),
        (["--param", "training_entry_point=main.py"], "found: train.py"),
        (["--partition", "2013-07-04\n"], "must not contain control characters"),
        (["--partition", ""], "partition = ''"),
    ],
)
def test_what_is_wrong_is_said_with_exit_code_2(
    config_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    config_file.write_text(config_file.read_text() + "bucket: my-bucket\n")
    assert main(["validate", str(config_file), *arguments]) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert captured.out == ""


def test_violations_are_data_too(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, data = validated(capsys, config_file, "--param", "epochs=0", "--param", "training_instance_count=0")
    assert code == 2
    assert {violation["field"] for violation in data["violations"]} == {
        "hyperparameters.epochs", "training_instance_count",
    }  # fmt: skip


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"airflow-sagemaker {__version__}\n"


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "/nowhere/training.yaml"]) == 2
    assert "/nowhere/training.yaml" in capsys.readouterr().err


def test_validate_warns_of_an_image_whose_patches_have_ended(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = validated(capsys, config_file, "--param", "framework_version='2.9'")
    assert code == 0
    assert ["since 2026-10-15" in warning for warning in said["warnings"]] == [True]
    assert validated(capsys, config_file, "--param", "training_image=mine:1")[1]["warnings"] == []


def test_validate_needs_no_aws_library(config_file: Path) -> None:
    import subprocess

    code = (
        "import sys; from airflow_sagemaker.cli import main; main(sys.argv[1:]); "
        "print([m for m in ('boto3', 'botocore', 'sagemaker', 'airflow') if m in sys.modules])"
    )
    plugins = Path(airflow_sagemaker.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, "validate", str(config_file)],
        cwd=plugins,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_compile_says_what_is_missing(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", str(config_file)]) == 2
    assert "role_arn = (not given)" in capsys.readouterr().err


def test_orphans_says_what_it_needs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW_URL", "AIRFLOW_API_TOKEN", "AIRFLOW_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    assert main(["orphans"]) == 2
    text = capsys.readouterr().err
    assert "--airflow-url" in text
    assert "--username and --password" in text


@pytest.mark.parametrize("patience", ["-3", "inf", "soon"])
def test_a_patience_that_is_none(patience: str, config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["stop", str(config_file), "--patience", patience])
    assert ended.value.code == 2
    assert f"must be a number of seconds, 0 or more, not '{patience}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:9", "cannot be reached"),
        ("http://air flow", "cannot be reached"),
        ("airflow", "is not the URL of an Airflow"),
    ],
)
def test_orphans_of_an_airflow_that_is_not_there(url: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["orphans", "--airflow-url", url, "--token", "secret\n"]) == 4
    text = capsys.readouterr().err
    assert f"{url} {said}" in text
    assert "secret" not in text


def test_a_token_that_is_none_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["orphans", "--airflow-url", "http://127.0.0.1:9", "--token", "secret\nthing"]) == 2
    text = capsys.readouterr().err
    assert "--token" in text
    assert "secret" not in text


def test_the_help_of_each_command_fits_a_screen_and_ends_with_an_example_that_parses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow_sagemaker.cli import build_parser

    monkeypatch.setenv("COLUMNS", "80")
    root = build_parser()
    assert len(root.format_help().splitlines()) <= 40
    [commands] = [action for action in root._actions if isinstance(action, argparse._SubParsersAction)]
    for name, command in commands.choices.items():
        lines = command.format_help().rstrip().splitlines()
        assert len(lines) <= 40, name
        *before, heading, example = lines
        assert max(map(len, before)) <= 80, name
        assert heading == "example:"
        words = shlex.split(example)
        assert root.parse_args(words[words.index(name) :]).command == name


@pytest.mark.parametrize(
    ("change", "nearest"), [({"tab_field_list": ["feature_1"]}, "feature1"), ({"label_name": "targt"}, "target")]
)
def test_a_misspelt_field_gets_a_suggestion(
    config_file: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], nearest: str
) -> None:
    content = yaml.safe_load(config_file.read_text())
    content["hyperparameters"] |= change
    config_file.write_text(yaml.safe_dump(content))
    assert main(["validate", str(config_file)]) == 2
    assert f"did you mean {nearest}?" in capsys.readouterr().err
