"""Starts with the operator: `execute` once per partition. `ours.py SPEC.json`; JSON on stdout."""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "plugins"))


class Store:
    """A task state store in memory."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def get(self, key: str, default: object = None) -> object:
        return self.values.get(key, default)

    def set(self, key: str, value: object, **_: object) -> None:
        self.values[key] = value


def context(partition: str) -> dict[str, Any]:
    ti = SimpleNamespace(
        dag_id="starting", run_id=partition, task_id="start", map_index=-1, max_tries=0, xcom_push=lambda **_: None
    )
    run = SimpleNamespace(partition_key=partition, logical_date=None, run_after=datetime.now(UTC))
    return {"ti": ti, "task_state_store": Store(), "dag_run": run, "dag": None}


def main(spec: dict[str, Any]) -> dict[str, Any]:
    import boto3

    from airflow_sagemaker.operators import SageMakerTrainingPipelineOperator

    # Ends trainings after a while, with a separate client that no proxy counts.
    client = boto3.client("sagemaker", region_name="us-east-1", endpoint_url=spec["uncounted_endpoint"])
    seconds = []
    running: list[str] = []
    for partition in spec["partitions"]:
        operator = SageMakerTrainingPipelineOperator(
            task_id="start", config=spec["config"], partition=partition, on_busy=spec["on_busy"]
        )
        begun = time.monotonic()
        running.append(str(operator.execute(context(partition))))  # type: ignore[arg-type]
        seconds.append(round(time.monotonic() - begun, 2))
        if len(running) > spec["live_at_most"]:
            client.stop_pipeline_execution(PipelineExecutionArn=running.pop(0), ClientRequestToken=uuid.uuid4().hex)
    imported = [name for name in sys.modules if name.split(".")[0] == "sagemaker"]
    return {"seconds_each": seconds, "sdk_modules_imported": len(imported)}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    out, sys.stdout = sys.stdout, sys.stderr
    out.write(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))) + "\n")
