"""The local SageMaker as a distribution of its own: the whole server, which neither needs nor imports Airflow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest

import airflow_sagemaker
import local_sagemaker

ROOT = Path(__file__).resolve().parents[3]
OWN = ROOT / "packaging" / "local-sagemaker"
TEST = """
import time
import boto3

def test_a_job(local_aws):
    s3, sagemaker = boto3.client("s3"), boto3.client("sagemaker")
    s3.create_bucket(Bucket="stranger")
    sagemaker.create_training_job(
        TrainingJobName="first",
        RoleArn="arn:aws:iam::123456789012:role/LocalSageMakerRole",
        AlgorithmSpecification={
            "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10.0-cpu-py313",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/true"],
        },
        OutputDataConfig={"S3OutputPath": "s3://stranger/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    while (found := sagemaker.describe_training_job(TrainingJobName="first"))["TrainingJobStatus"] == "InProgress":
        time.sleep(0.1)
    assert found["TrainingJobStatus"] == "Completed"
"""
WITHOUT_AIRFLOW = """
import sys
sys.modules.update(airflow=None, airflow_sagemaker=None)  # importing them fails
"""


def project(folder: Path) -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return found


def test_it_asks_for_what_the_extra_of_the_root_asks_for() -> None:
    own, root = project(OWN), project(ROOT)
    extras, needed = root["optional-dependencies"], root["dependencies"]
    assert isinstance(extras, dict)
    assert isinstance(needed, list)
    assert isinstance(own["dependencies"], list)
    assert not [line for line in own["dependencies"] if "airflow" in line]
    assert set(extras["local"]) <= set(own["dependencies"])
    assert set(own["dependencies"]) <= {*extras["local"], *needed}
    assert own["optional-dependencies"] == {"bayesian": extras["bayesian"]}
    assert local_sagemaker.__version__ == airflow_sagemaker.__version__


@pytest.mark.slow
def test_a_strangers_project_uses_the_installed_wheel(tmp_path: Path) -> None:
    """Only the wheel and what it asks for: Airflow cannot even be imported, by the test or by the server."""
    source, site, project = tmp_path / "source", tmp_path / "site", tmp_path / "project"
    shutil.copytree(OWN, source / "packaging" / OWN.name, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    shutil.copytree(ROOT / "local_sagemaker", source / "local_sagemaker", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(site)]
    install = [sys.executable, "-m", "pip", "install", *options, str(source / "packaging" / OWN.name)]
    subprocess.run(install, check=True, timeout=240)
    [package] = distributions(path=[str(site)])
    assert (package.name, package.version) == ("local-sagemaker", local_sagemaker.__version__)
    scripts = package.entry_points.select(group="console_scripts")
    assert [(entry.name, entry.value) for entry in scripts] == [("local-sagemaker", "local_sagemaker.__main__:main")]
    packed = {path.relative_to(site) for path in (site / "local_sagemaker").rglob("*.py")}
    assert packed == {path.relative_to(ROOT) for path in (ROOT / "local_sagemaker").rglob("*.py")}
    project.mkdir()
    (project / "test_mine.py").write_text(TEST)
    (site / "sitecustomize.py").write_text(WITHOUT_AIRFLOW)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "AIRFLOW"))}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=project, env=environment | {"PYTHONPATH": str(site)}, capture_output=True, text=True, check=False,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
