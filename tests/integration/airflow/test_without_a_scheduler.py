"""`dag.test()` and `airflow dags test`: tasks, triggers and task state store in one process, without a scheduler."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.support.pipelines import Pipelines
from tests.support.samples import TRAIN, connection_of

DAGS = Path(__file__).with_name("dags")
ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [[str(DAGS / "without_a_scheduler.py")], ["-m", "airflow", "dags", "test", "without_a_scheduler"]],
    ids=["dag.test()", "airflow dags test"],
)
def test_a_dag_runs_in_one_process(pipelines: Pipelines, tmp_path: Path, command: list[str]) -> None:
    name = f"in-process-{uuid.uuid4().hex[:8]}"
    (tmp_path / "train.py").write_text(TRAIN)
    for partition in ("2013-07-04", "2013-07-05"):
        for channel in ("train", "val", "test"):
            key = f"{name}/input/{partition}/{channel}/{channel}.parquet"
            pipelines.server.client("s3").put_object(Bucket=pipelines.bucket, Key=key, Body=b"PAR1")
    connection = connection_of(pipelines.server.env, pipelines.server.endpoint_url, pipelines.bucket)
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_AWS_DEFAULT": connection,
        "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
        "TEST_PIPELINE": name,
        "TEST_SOURCE": str(tmp_path),
    }
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=env, check=True, capture_output=True)
    done = subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    listed = pipelines.server.client("sagemaker").list_pipeline_executions(PipelineName=name)
    assert [e["PipelineExecutionStatus"] for e in listed["PipelineExecutionSummaries"]] == ["Succeeded"] * 2
