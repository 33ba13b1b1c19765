"""Runs of the shipped DAGs against the local SageMaker, each in an Airflow of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.samples import connection_of

ROOT = Path(__file__).resolve().parents[3]
DAGS = ROOT / "dags"


@pytest.fixture
def bucket(local_sagemaker: Any) -> str:
    """A new bucket that holds nothing."""
    name = f"flights-{uuid.uuid4().hex[:10]}"
    local_sagemaker.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def connection(local_sagemaker: Any, bucket: str) -> str:
    """An Airflow connection of that bucket."""
    return connection_of(local_sagemaker.env, local_sagemaker.endpoint_url, bucket)


@pytest.fixture
def run_dag(connection: str, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`run_dag(module, conf, *marked_as_done)`: what the run of partition 2014-03-01 and its tasks ended with."""

    def run(module: str, conf: dict[str, Any], *marked_as_done: str) -> dict[str, Any]:
        env = {
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW_CONN_AWS_DEFAULT": connection,
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, DAGS, ROOT / "plugins"))),
        }
        program = str(Path(__file__).with_name("run_dag.py"))
        command = [sys.executable, program, module, json.dumps(conf), *marked_as_done]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return {**result, "log": done.stdout}

    return run
