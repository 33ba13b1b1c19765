"""What `deploy/mwaa/package` writes, in the layout of MWAA's image: installed, unpacked, published, run.

Run by `tests/matrix/run --part mwaa ROW`, in an environment that has the image's pins and not this package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_stack.processes import free_port
from local_stack.settings import USERNAME

ROOT = Path(__file__).resolve().parents[2]
AIRFLOW = version("apache-airflow-core")
CONSTRAINTS = Path(__file__).with_name("constraints") / f"mwaa-{AIRFLOW}.txt"
HOME = Path("/usr/local/airflow")
DAG = """
from airflow.sdk import DAG
from airflow_sagemaker import SageMakerTrainingPipelineOperator, SageMakerTrainingPipelineSensor

with DAG("on_mwaa", schedule=None):
    start = SageMakerTrainingPipelineOperator(task_id="start", partition="2013-07-01", config={
        "pipeline_name": "on-mwaa", "source_dir": "/usr/local/airflow/dags/tiny", "profiler": None,
        "training_instance_type": "ml.m5.large", "install_requirements": False, "distribution": "none",
        "hyperparameters": {"id_name": "id", "label_name": "y", "full_field_list": ["id", "y", "a"],
                            "tab_field_list": ["a"]},
    })
    start >> SageMakerTrainingPipelineSensor(
        task_id="wait", execution_arn="{{ ti.xcom_pull('start') }}", poke_interval=1)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not CONSTRAINTS.is_file(), reason=f"no MWAA image has Airflow {AIRFLOW}"),
    pytest.mark.skipif(HOME.exists(), reason=f"{HOME} is in use"),
    pytest.mark.skipif(not os.access(HOME.parent, os.W_OK), reason=f"{HOME} cannot be made"),
]


@pytest.fixture
def home() -> Iterator[Path]:
    HOME.mkdir()
    yield HOME
    shutil.rmtree(HOME)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis of this test; empty where no server is installed."""
    server = shutil.which("redis-server")
    if server is None:
        yield ""
        return
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([server, *options], stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait()


def test_the_packages_files_run_in_the_images_layout(home: Path, broker: str, tmp_path: Path) -> None:
    assert find_spec("airflow_sagemaker") is None, "plugins.zip is to bring the package"
    out = tmp_path / "out"
    subprocess.run([str(ROOT / "deploy" / "mwaa" / "package"), "--airflow", AIRFLOW, str(out)], check=True)
    requirements = (out / "requirements.txt").read_text()
    assert "sagemaker" not in requirements
    local = re.sub(r'--constraint ".*"', f"--constraint {CONSTRAINTS}", requirements)
    (out / "local.txt").write_text(local)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-r", str(out / "local.txt")], check=True)
    zipfile.ZipFile(out / "plugins.zip").extractall(home / "plugins")
    shutil.copytree(out / "dags", home / "dags")
    (home / "dags" / "on_mwaa.py").write_text(DAG)
    (home / "dags" / "tiny").mkdir()
    (home / "dags" / "tiny" / "train.py").write_text("print('Train Loss: 0.500000')\n")
    with (home / "dags" / ".airflowignore").open("a") as ignored:
        ignored.write("tiny/\n")
    run(home, broker, tmp_path)


def run(home: Path, broker: str, tmp_path: Path) -> None:
    """Publish, then trigger the DAG on an Airflow whose components are MWAA's."""
    from local_stack.settings import BUCKET, Home
    from local_stack.stack import running_stack

    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW_SAGEMAKER_SOURCE_DIR": str(home / "dags" / "training"),
        "AIRFLOW_SAGEMAKER_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": f"{home / 'plugins'}:{home / 'dags'}",
    }
    sdk_python = os.environ.pop("AIRFLOW_SAGEMAKER_SDK_PYTHON")
    if broker:
        settings |= {"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor", "AIRFLOW__CELERY__BROKER_URL": broker}
        settings["AIRFLOW__CELERY__RESULT_BACKEND"] = f"db+sqlite:///{tmp_path / 'celery.db'}"
    os.environ.update(settings)
    with running_stack(Home(tmp_path / "home"), schedules=False) as stack:
        airflow: Any = stack.airflow
        for channel in ("train", "val", "test"):
            key = f"on-mwaa/input/2013-07-01/{channel}/{channel}.parquet"
            stack.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"PAR1")
        (tmp_path / "publish").mkdir()
        shutil.copy(home / "dags" / "on_mwaa.py", tmp_path / "publish")
        subprocess.run(
            [
                sys.executable, "-m", "airflow_sagemaker", "publish", str(tmp_path / "publish"), "--bucket", BUCKET,
                "--role-arn", "arn:aws:iam::123456789012:role/LocalSageMakerRole", "--region", "us-east-1",
                "--sdk-python", sdk_python,
            ],
            env={**os.environ, **stack.aws}, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if broker:
            worker = [sys.executable, "-m", "airflow", "celery", "worker", "--concurrency", "2"]
            stack.processes.start("worker", worker, env=stack.environment, cwd=home)
        stack.processes.wait_until(lambda: airflow.exists("/dags/on_mwaa"), what="the DAG", seconds=180)
        airflow.call("PATCH", "/dags/on_mwaa", json={"is_paused": False})
        run_id = airflow.trigger("on_mwaa")["dag_run_id"]
        ended = ("success", "failed")
        stack.processes.wait_until(
            lambda: airflow.run("on_mwaa", run_id)["state"] in ended, what="the run's end", seconds=300
        )
        logs = [airflow.log("on_mwaa", run_id, task["task_id"]) for task in airflow.task_instances("on_mwaa", run_id)]
        assert airflow.run("on_mwaa", run_id)["state"] == "success", "\n".join(logs)
        assert airflow.xcom("on_mwaa", run_id, "wait")["metrics"] == {"Train Loss": 0.5}
        assert any("Published definition d-" in log for log in logs), "nothing was compiled in Airflow"
        assert [row["run_id"] for row in history(stack.url, stack.password)] == [run_id]
        plugins = [plugin["name"] for plugin in airflow.get("/plugins")["plugins"]]
        assert plugins.count("airflow_sagemaker") == 1


def history(url: str, password: str) -> list[dict[str, Any]]:
    """What the page of the partition history shows."""
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        login = client.post("/auth/token", json={"username": USERNAME, "password": password})
        bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
        rows: list[dict[str, Any]] = client.get(
            "/sagemaker-training/data/history", params={"dag_id": "on_mwaa"}, headers=bearer
        ).json()
    return rows
