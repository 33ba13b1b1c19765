"""`pip install .` gives an existing Airflow a provider whose plugin registers itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.support.tables import customers, write_parquet

ROOT = Path(__file__).resolve().parents[3]
LOOK = """
import json
from airflow.providers_manager import ProvidersManager
from airflow import plugins_manager
manager = ProvidersManager()
plugins, errors = plugins_manager._get_plugins()
print(json.dumps({
    "version": manager.providers["airflow-sagemaker"].version,
    "plugins": [p.name for p in plugins].count("airflow_sagemaker"),
    "errors": {k: str(v) for k, v in errors.items()},
}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed package, built from a copy: a build leaves files beside the sources."""
    base = tmp_path_factory.mktemp("package")
    source = base / "source"
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("plugins", "local_sagemaker", "training"):
        shutil.copytree(ROOT / folder, source / folder, ignore=ignore)
    for file in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    target = base / "site"
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True, timeout=240)
    return target


def look(site: Path, home: Path, **settings: str) -> dict[str, object]:
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(site),
        **settings,
    }
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=env, cwd=home, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_airflow_lists_the_provider_and_loads_its_plugin(site: Path, tmp_path: Path) -> None:
    import airflow_sagemaker

    assert look(site, tmp_path) == {"version": airflow_sagemaker.__version__, "plugins": 1, "errors": {}}


def test_the_plugins_folder_beside_it_registers_nothing_twice(site: Path, tmp_path: Path) -> None:
    found = look(site, tmp_path, AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"))
    assert found["plugins"] == 1
    assert "already registered, skipping" in str(found["errors"])


def test_pages_and_data_are_in_the_package(site: Path) -> None:
    for folder in ("pages/static", "config/data", "aws/model_overlay"):
        ours = {
            p.name for p in (ROOT / "plugins/airflow_sagemaker" / folder).rglob("*") if p.suffix in {".js", ".json"}
        }
        packed = {p.name for p in (site / "airflow_sagemaker" / folder).rglob("*") if p.suffix in {".js", ".json"}}
        assert ours
        assert packed == ours


def test_the_training_program_is_in_the_package_and_found_there(site: Path, tmp_path: Path) -> None:
    ours = sorted(
        p.relative_to(ROOT / "training") for p in (ROOT / "training").rglob("*") if p.suffix in {".py", ".txt"}
    )
    packed = site / "airflow_sagemaker" / "program" / "training"
    assert sorted(p.relative_to(packed) for p in packed.rglob("*") if p.suffix in {".py", ".txt"}) == ours
    write_parquet(tmp_path / "churn.parquet", customers())
    (tmp_path / "training").mkdir()  # not the program
    commands = [
        ["init", "churn.parquet", "--label", "churned"],
        ["split", "churn.parquet", "dags/churn.yaml", "--to", "data"],
        ["validate", "dags/churn.yaml", "--data", "data", "--json"],
    ]
    for command in commands:
        done = installed(site, tmp_path, *command)
        assert done.returncode == 0, done.stderr
    assert all(finding["ok"] for finding in json.loads(done.stdout)["data_checks"])
    refused = installed(site, tmp_path, "predict", "nowhere.tar.gz", "churn.parquet")
    assert "nowhere.tar.gz" in refused.stderr


def installed(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "AIRFLOW_SAGEMAKER_SOURCE_DIR"}
    command = [sys.executable, "-P", "-m", "airflow_sagemaker", *arguments]
    return subprocess.run(
        command, cwd=folder, env={**environment, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False
    )


def test_pytest_finds_the_plugin_of_an_installed_package(site: Path, tmp_path: Path) -> None:
    """By its entry point, which does not get in the way of a conftest.py that names the plugin, too."""
    [package] = distributions(path=[str(site)])
    [entry] = package.entry_points.select(group="pytest11")
    assert entry.value == "local_sagemaker.testing"
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["local_sagemaker.testing"]')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--fixtures", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path, env={**environment, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert "local_aws" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
