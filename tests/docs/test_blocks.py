"""Every code block of the documentation is parsed; those that are marked are checked or run."""

from __future__ import annotations

import ast
import configparser
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_sagemaker import PytorchTrainingConfig
from tests.docs.pages import ROOT, Block, blocks

LANGUAGES = {"python", "yaml", "json", "bash", "ini", "text", "mermaid", "dockerfile"}
TABLE = {
    "hyperparameters": {
        "id_name": "customer_id",
        "label_name": "target",
        "full_field_list": ["customer_id", "target", "age", "country"],
        "tab_field_list": ["age"],
        "cat_field_list": ["country"],
    }
}
STEP_SECONDS = 240


def marked(mark: str) -> list[Block]:
    return [block for block in blocks() if mark in block.marks]


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_a_block_names_its_language_and_can_be_parsed(block: Block) -> None:
    assert block.language in LANGUAGES, f"name one of {sorted(LANGUAGES)} after the fence"
    if block.language == "python":
        ast.parse(block.text)
    elif block.language == "yaml":
        list(yaml.load_all(block.text, Loader=yaml.BaseLoader))
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "bash":
        checked = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("block", marked("config"), ids=str)
def test_a_configuration_is_valid(block: Block) -> None:
    if block.language == "python":
        names: dict[str, Any] = {}
        exec(compile(block.text, str(block), "exec"), names)
        assert isinstance(names["config"], PytorchTrainingConfig)
        return
    content = yaml.safe_load(block.text)
    part = block.marks["config"] == "part"
    PytorchTrainingConfig.from_dict({**TABLE, **content} if part else content)


@pytest.mark.parametrize("block", marked("connection"), ids=str)
def test_a_connection_names_region_bucket_and_role(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_sagemaker.aws.connections import connection_defaults

    monkeypatch.setenv("AIRFLOW_CONN_OF_THE_DOCS", block.text)
    found = connection_defaults("of_the_docs")
    assert found.region
    assert found.bucket
    assert found.role_arn


@pytest.mark.parametrize("block", marked("settings"), ids=str)
def test_settings_are_those_that_the_provider_declares(block: Block) -> None:
    from airflow_sagemaker.provider import get_provider_info

    given = configparser.ConfigParser(interpolation=None)
    given.read_string(block.text)
    for section, declared in get_provider_info()["config"].items():
        assert set(given[section]) <= set(declared["options"])
        assert all(float(price) for price in json.loads(given[section]["price_per_hour"]).values())
        given.getboolean(section, "live_figures")


def test_airflow_imports_every_dag(tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    for example in sorted((ROOT / "examples" / "dags").iterdir()):
        (folder / example.name).symlink_to(example)
    for number, block in enumerate(marked("dag")):
        (folder / f"block_{number}.py").write_text(f"# {block}\n{block.text}")
    program = (
        "import json, sys; from airflow.dag_processing.dagbag import DagBag; "
        "sys.path.insert(0, sys.argv[1]); bag = DagBag(sys.argv[1], bundle_name='docs'); "
        "files = sorted({dag.fileloc for dag in bag.dags.values()}); "
        "print(json.dumps({'errors': bag.import_errors, 'files': files, 'heavy': 'sagemaker' in sys.modules}))"
    )
    # A quiet child, so that the test's own process keeps its Airflow home.
    done = run([sys.executable, "-c", program, str(folder)], tmp_path, {"AIRFLOW_HOME": str(tmp_path / "home")})
    found = json.loads(done.splitlines()[-1])
    assert found["errors"] == {}
    assert [Path(file).name for file in found["files"]] == sorted(path.name for path in folder.glob("*.py"))
    assert not found["heavy"], "importing a DAG file must not import the SDK"


@pytest.mark.parametrize("page", sorted({block.page for block in marked("run")}), ids=lambda page: page.name)
def test_what_a_page_tells_to_run_runs(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for entry in ROOT.iterdir():
        if entry.name not in {"var", "dags", ".git"}:
            (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "var").mkdir()
    (tmp_path / "dags").mkdir()  # `init` writes there
    for entry in (ROOT / "dags").iterdir():
        (tmp_path / "dags" / entry.name).symlink_to(entry)
    for block in blocks():
        if block.page != page:
            continue
        if "file" in block.marks:
            (tmp_path / block.marks["file"]).write_text(block.text)
        words = block.marks.get("run", "slow").split()
        if "slow" not in words or ("run" in block.marks and request.config.getoption("--slow")):
            run_block(block, tmp_path, request)


def run_block(block: Block, workspace: Path, request: pytest.FixtureRequest) -> None:
    environment = {"AIRFLOW_SAGEMAKER_CACHE_DIR": str(workspace.parent / "compile-cache")}
    if "sagemaker" in block.marks["run"]:
        server = request.getfixturevalue("local_sagemaker")
        environment |= server.env
        place = workspace / "var" / "sagemaker"
        if not place.is_symlink():
            place.symlink_to(server.data_dir)
    interpreter = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
    run([*interpreter, block.text], workspace, environment, what=str(block))


def run(command: list[str], folder: Path, environment: dict[str, str], what: str = "") -> str:
    """The standard output of a command that must succeed, with nothing of AWS or Airflow in its environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW"))}
    scripts = str(Path(sys.executable).parent)
    own = {
        "PATH": f"{scripts}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": f"{ROOT / 'plugins'}{os.pathsep}{ROOT}",
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    done = subprocess.run(
        command, cwd=folder, env={**kept, **own, **environment}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=STEP_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{what}: exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return done.stdout
