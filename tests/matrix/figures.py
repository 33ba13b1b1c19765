"""What importing a DAG and starting a published definition cost in this environment: `figures.py`, one line on stdout.

The start is the operator's own `execute` against a local SageMaker. CPU seconds are those of the task's process, from
the call to the reply of the last call; children are counted apart, and there should be none.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from tests.support.samples import HYPERPARAMETERS, ROLE, TRAIN, connection_of

BUCKET = "figures"
DAY = "2013-07-01"
DAG = """
from airflow.sdk import DAG
from airflow_sagemaker import SageMakerTrainingPipelineOperator, SageMakerTrainingPipelineSensor

with DAG("figures", schedule=None):
    start = SageMakerTrainingPipelineOperator(task_id="start", config=CONFIG, partition=DAY)
    start >> SageMakerTrainingPipelineSensor(task_id="wait", execution_arn="{{ ti.xcom_pull('start') }}")
"""


class Spent:
    """CPU seconds and memory since it was made."""

    def __init__(self) -> None:
        self.cpu, self.rss = time.process_time(), psutil.Process().memory_info().rss

    def __str__(self) -> str:
        megabytes = (psutil.Process().memory_info().rss - self.rss) / 1e6
        return f"{time.process_time() - self.cpu:.2f} s, {megabytes:.0f} MB"


class Store(dict[str, Any]):
    """A task state store in memory."""

    def set(self, key: str, value: Any, **_: Any) -> None:
        self[key] = value


def measure(config: dict[str, Any]) -> str:
    """In a process of its own, whose environment leads to the local SageMaker."""
    import airflow.sdk

    assert airflow.sdk.DAG, "imported first, because Airflow itself is not measured"
    imported, names = Spent(), {"CONFIG": config, "DAY": DAY}
    exec(compile(DAG, "figures_dag.py", "exec"), names)
    text = f"DAG: {imported}"
    from airflow_sagemaker.airflow_compat import has_task_state_store

    ti = SimpleNamespace(
        dag_id="figures", run_id="r", task_id="start", map_index=-1, max_tries=0, xcom_push=lambda **_: None
    )
    run = SimpleNamespace(partition_key=DAY, logical_date=None, run_after=datetime.now(UTC))
    context: dict[str, Any] = {"ti": ti, "dag_run": run, "dag": None}
    if has_task_state_store():
        context["task_state_store"] = Store()
    started = Spent()
    names["start"].execute(context)  # type: ignore[attr-defined]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return f"{text}; start: {started}; children: {children.ru_utime + children.ru_stime:.1f} s"


def main() -> None:
    from local_sagemaker.testing import start_local_sagemaker

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "source").mkdir()
        (folder / "source" / "train.py").write_text(TRAIN)
        config = {
            "pipeline_name": "figures", "source_dir": str(folder / "source"), "profiler": None,
            "training_instance_type": "ml.m5.large", "hyperparameters": {**HYPERPARAMETERS, "epochs": 1},
        }  # fmt: skip
        (folder / "training.yaml").write_text(json.dumps(config))  # JSON is YAML
        server = start_local_sagemaker(folder / "server")
        try:
            s3 = server.client("s3")
            s3.create_bucket(Bucket=BUCKET)
            for channel in ("train", "val", "test"):
                s3.put_object(Bucket=BUCKET, Key=f"figures/input/{DAY}/{channel}/{channel}.parquet", Body=b"PAR1")
            kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
            sdk_python = kept.pop("AIRFLOW_SAGEMAKER_SDK_PYTHON", sys.executable)
            of_connection = ["--bucket", BUCKET, "--role-arn", ROLE, "--region", "us-east-1"]
            publish = [sys.executable, "-m", "airflow_sagemaker", "publish", str(folder / "training.yaml")]
            subprocess.run(
                [*publish, *of_connection, "--sdk-python", sdk_python], env={**kept, **server.env}, check=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            worker = {
                **kept,
                "AIRFLOW_CONN_AWS_DEFAULT": connection_of(server.env, server.endpoint_url, BUCKET),
                "AIRFLOW_SAGEMAKER_CACHE_DIR": str(folder / "cache"),
                "AIRFLOW_SAGEMAKER_SDK_PYTHON": "/bin/false",
                "FIGURES_OF": json.dumps(config),
            }
            done = subprocess.run(
                [sys.executable, "-m", "tests.matrix.figures"], env=worker, check=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            print(done.stdout.splitlines()[-1])
        finally:
            server.stop()


if __name__ == "__main__":
    if "FIGURES_OF" in os.environ:
        print(measure(json.loads(os.environ["FIGURES_OF"])))
    else:
        main()
