"""Sources and configurations for real compiles, and one compile cache for all of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_sagemaker import PytorchTrainingConfig
from tests.support.config_samples import TABLE

ROLE = "arn:aws:iam::123456789012:role/LocalSageMakerRole"
PROGRAM = """
import json, os, pathlib, sys

seen = {"hps": json.loads(os.environ["SM_HPS"]), "argv": sys.argv[1:], "environment": dict(os.environ)}
fields = pathlib.Path("fields.json")
seen["fields"] = json.loads(fields.read_text()) if fields.exists() else None
for name in ("Train Loss", "Validation Loss", "Validation F1 Score", "Validation AUC ROC"):
    print(f"{name}: 0.512345")
pathlib.Path(os.environ["SM_MODEL_DIR"], "seen.json").write_text(json.dumps(seen))
"""


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compile-cache")


@pytest.fixture(autouse=True)
def compile_environment(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> None:
    """A cache of our own; credentials that a compile must not see; nobody at the endpoint."""
    monkeypatch.setenv("AIRFLOW_SAGEMAKER_CACHE_DIR", str(cache_folder))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "not-for-the-child")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-for-the-child")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text(PROGRAM)
    return folder


@pytest.fixture
def config(source: Path) -> PytorchTrainingConfig:
    return PytorchTrainingConfig(
        hyperparameters=TABLE,
        bucket="compile-tests",
        role_arn=ROLE,
        region="us-east-1",
        partition="2013-07-04",
        source_dir=str(source),
        training_instance_type="ml.m5.large",
    )
