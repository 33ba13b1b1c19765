"""The command line against the local SageMaker, and the values that reach the program in the container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deployed import file_in_archive

ROOT = Path(__file__).resolve().parents[3]
BUCKET = "command-line"
ODD = 'it\'s "é" $(id) `x` \\ ☃'
COLUMNS = [ODD, "target", "123", "true", *(f"column_{number:04}" for number in range(400))]
HYPERPARAMETERS: dict[str, Any] = {
    "id_name": ODD,
    "label_name": "target",
    "full_field_list": COLUMNS,
    "tab_field_list": COLUMNS[4:],
    "cat_field_list": COLUMNS[2:4],
    "learning_rate": 1e-05,
    "batch_size": 7,
    "compile_model": True,
    "class_weight": "balanced",
}


@pytest.fixture(scope="module")
def environment(local_sagemaker: Any, cache_folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    client = local_sagemaker.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for channel in ("train", "val", "test"):
        key = f"command-line/input/2013-07-04/{channel}/{channel}.parquet"
        client.put_object(Bucket=BUCKET, Key=key, Body=b"rows")
    return {**kept, **local_sagemaker.env, "AIRFLOW_SAGEMAKER_CACHE_DIR": str(cache_folder), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def config_file(source: Path, tmp_path: Path) -> Path:
    path = tmp_path / "training.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "bucket": BUCKET,
                "pipeline_name": "command-line",
                "role_arn": "arn:aws:iam::123456789012:role/LocalSageMakerRole",
                "source_dir": str(source),
                "training_instance_type": "ml.m5.large",
                "environment": {"GREETING": "it's $(id)"},
                "hyperparameters": HYPERPARAMETERS,
            }
        )
    )
    return path


def call(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airflow_sagemaker", *arguments],
        cwd=ROOT / "plugins", env=environment, capture_output=True, text=True, timeout=240, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_from_diff_to_the_values_in_the_container(
    environment: dict[str, str], config_file: Path, local_sagemaker: Any
) -> None:
    common = (str(config_file), "--partition", "2013-07-04", "--json")
    before = call(environment, "diff", *common)
    assert (before.returncode, json.loads(before.stdout)["exists"]) == (1, False), before.stderr

    ran = call(environment, "run", *common, "--param", "epochs=3")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    outcome = json.loads(ran.stdout)
    assert outcome["metrics"]["Validation AUC ROC"] == 0.512345
    assert "Step Train: Succeeded" in ran.stderr
    assert "\033" not in ran.stderr

    after = call(environment, "diff", *common, "--param", "epochs=99")
    assert (after.returncode, json.loads(after.stdout)["changed"]) == (0, False), after.stdout
    changed = call(environment, "diff", str(config_file), "--param", "max_runtime_seconds=60")
    assert changed.returncode == 1
    assert '-          "MaxRuntimeInSeconds": 86400' in changed.stdout

    logs = call(environment, "logs", *common)
    assert any("Train Loss: 0.512345" in line for line in json.loads(logs.stdout)["lines"])
    assert not any("earlier" in line for line in json.loads(logs.stdout)["lines"])
    stopped = call(environment, "stop", *common)
    assert json.loads(stopped.stdout)["stopped"] is False

    seen = _seen(local_sagemaker, outcome["model_artifact"])
    expected = {**HYPERPARAMETERS, "epochs": 3}
    lists = {name: value for name, value in expected.items() if isinstance(value, list)}
    assert seen["fields"] == lists  # too long for hyperparameters: they came as a file
    for name, value in expected.items():
        if name not in lists:
            assert seen["hps"][name] == value
            assert type(seen["hps"][name]) is type(value)
    assert seen["environment"]["GREETING"] == "it's $(id)"


def test_a_failing_program_ends_with_its_reason_and_an_exit_code(
    environment: dict[str, str], config_file: Path
) -> None:
    content = yaml.safe_load(config_file.read_text())
    Path(content["source_dir"], "train.py").write_text("raise SystemExit('the table is empty')\n")
    for progress in ("steps", "logs"):
        ran = call(environment, "run", str(config_file), "--partition", "2013-07-04", "--progress", progress)
        assert ran.returncode == 1
        *lines, last = ran.stderr.splitlines()
        assert "the table is empty" in last
        assert len([line for line in lines if line.endswith("Running Torchrun Driver")]) == 1, "the log is printed once"


def test_missing_channels_are_found_before_anything_starts(environment: dict[str, str], config_file: Path) -> None:
    ran = call(environment, "run", str(config_file), "--partition", "1999-01-01", "--json")
    assert ran.returncode == 4
    message = json.loads(ran.stdout)["message"]
    for channel in ("train", "val", "test"):
        assert f"s3://{BUCKET}/command-line/input/1999-01-01/{channel}/{channel}.parquet does not exist" in message


def test_an_endpoint_where_nobody_listens(environment: dict[str, str], config_file: Path) -> None:
    lonely = {**environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
    done = call(lonely, "stop", str(config_file), "--patience", "1")
    assert done.returncode == 4
    assert "127.0.0.1:9" in done.stderr
    assert "check the network, and AWS_ENDPOINT_URL" in done.stderr
    done = call({**environment, "AWS_ENDPOINT_URL": "localhost"}, "stop", str(config_file))
    assert done.returncode == 2
    assert "AWS_ENDPOINT_URL = 'localhost': cannot be used" in done.stderr


def test_missing_credentials_are_said_once_with_what_to_do(
    environment: dict[str, str], config_file: Path, tmp_path: Path
) -> None:
    nobody = {name: value for name, value in environment.items() if "_KEY" not in name} | {"HOME": str(tmp_path)}
    done = call(nobody, "run", str(config_file))
    assert done.returncode == 4
    assert done.stderr.count("Unable to locate credentials") == 1, done.stderr
    assert "AWS_PROFILE or AWS_ACCESS_KEY_ID" in done.stderr


@pytest.mark.parametrize(
    ("arn", "said"),
    [
        ("", "is not the ARN of a pipeline execution"),
        ("arn:aws:sagemaker:eu-west-1:123456789012:pipeline/p/execution/abcdefghijkl", "--param region=eu-west-1"),
    ],
)
def test_an_execution_that_cannot_be_meant(environment: dict[str, str], config_file: Path, arn: str, said: str) -> None:
    done = call(environment, "stop", str(config_file), "--execution", arn)
    assert done.returncode == 2
    assert said in done.stderr


def test_an_output_that_cannot_be_written(environment: dict[str, str], config_file: Path) -> None:
    done = call(environment, "compile", str(config_file), "--output", "/nowhere/definition.json")
    assert done.returncode == 2
    assert "--output = '/nowhere/definition.json': cannot be written: No such file or directory" in done.stderr


def test_ctrl_c_says_what_goes_on_and_how_to_stop_it(environment: dict[str, str], config_file: Path) -> None:
    content = yaml.safe_load(config_file.read_text())
    program = "import time\nprint('waiting', flush=True)\ntime.sleep(600)\n"
    Path(content["source_dir"], "train.py").write_text(program)
    command = (sys.executable, "-m", "airflow_sagemaker")
    common = (str(config_file), "--partition", "2013-07-04")
    with subprocess.Popen(
        [*command, "run", *common, "--json"], cwd=ROOT / "plugins", env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stdout is not None
        assert any(line.endswith("waiting\n") for line in process.stderr)  # the job itself says so
        busy = call(environment, "run", *common)
        assert busy.returncode == 4
        assert "`run --ignore-busy` to start another one" in busy.stderr
        beside = json.loads(call(environment, "run", *common, "--ignore-busy", "--no-wait", "--json").stdout)
        call(environment, "stop", str(config_file), "--execution", beside["execution_arn"])
        process.send_signal(signal.SIGINT)
        said = json.loads(process.stdout.read())
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 130
    assert said["error"] == "Interrupted"
    stopped = call(environment, "stop", *common, "--json")
    assert (stopped.returncode, json.loads(stopped.stdout)["stopped"]) == (0, True)
    assert json.loads(stopped.stdout)["execution_arn"] == said["execution_arn"], "not the latest: that has ended"
    _, _, stop = said["message"].partition("stop it:   python -m airflow_sagemaker ")
    again = call(environment, *stop.split())
    assert again.returncode == 0
    assert again.stdout.startswith(f"nothing to stop: {said['execution_arn']} is Stop"), "Stopping, or Stopped by now"


def _seen(local_sagemaker: Any, uri: str) -> dict[str, Any]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = local_sagemaker.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    content: dict[str, Any] = json.loads(file_in_archive(body, "seen.json"))
    return content
