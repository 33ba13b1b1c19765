"""Worker processes that run one try of one operator or sensor and can be killed.

Run as a program it imports Airflow once and forks a worker for every line of JSON on its standard input (as Airflow's
LocalExecutor does), answering with the worker's pid.

The task state store is Airflow's by interface and a file by nature: what `set` has returned from is on disk. Where
there is none (Airflow before 3.3, or `on_s3` in the SPEC) the record is an object on S3. The SPEC holds the operator's
arguments, the task's identity (run_id, max_tries, partition, ...) and the store's file; results go to the file
`result`. With an `event` the task resumes, as after a deferral, and with `timed_out` as after one that took too long;
`execution_timeout` is in seconds, and Airflow's own code keeps it. `halt` names a point at which the process stops and
waits to be killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import JsonValue, TypeAdapter

from airflow_sagemaker.airflow_compat import has_task_state_store

JSON: TypeAdapter[Any] = TypeAdapter(JsonValue)


class FileStore:
    """`get` and `set` of Airflow's TaskStateStoreAccessor."""

    def __init__(self, path: Path, halt: str = "") -> None:
        self.path, self.halt = path, halt

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.path.read_text()).get(key, default) if self.path.exists() else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        if key == "training_execution":
            assert retention is not None, "the record must never expire"
        JSON.validate_python(value, strict=True)  # as Airflow does: a tuple is refused
        if self.halt == "before_record" or (self.halt == "before_arn" and value.get("arn")):
            halt(self.path, self.halt)
        stored = json.loads(self.path.read_text()) if self.path.exists() else {}
        stored[key] = json.loads(json.dumps(value))
        scratch = self.path.with_suffix(".new")
        scratch.write_text(json.dumps(stored))
        scratch.replace(self.path)
        if self.halt == "after_record" or (self.halt == "after_arn" and value.get("arn")):
            halt(self.path, self.halt)


def halting_saves(store_path: Path, point: str) -> None:
    """Halt around the writes of a record on S3, as `FileStore` does around its own."""
    from airflow_sagemaker.start.record_on_s3 import RecordOnS3

    save = RecordOnS3.save

    def halting(self: Any, record: Any) -> None:
        if point == "before_record" or (point == "before_arn" and record.arn):
            halt(store_path, point)
        save(self, record)
        if point == "after_record" or (point == "after_arn" and record.arn):
            halt(store_path, point)

    RecordOnS3.save = halting  # type: ignore[method-assign]


class TaskInstance(SimpleNamespace):
    """What the operator uses of Airflow's runtime task instance."""

    def xcom_push(self, key: str, value: Any) -> None:
        if self.halt == "before_xcom" and key == "training_pipeline":  # the first after the start
            halt(self.store_path, self.halt)
        self.pushed[key] = json.loads(json.dumps(value, allow_nan=False))  # as Airflow's client does


def halt(store: Path, point: str) -> None:
    """Say that the point is reached and wait for SIGKILL."""
    store.with_suffix(f".{point}").touch()
    time.sleep(600)


def main(spec: dict[str, Any]) -> None:
    from airflow.sdk import Asset
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.context import OutletEventAccessors

    from airflow_sagemaker.operators import SageMakerTrainingPipelineOperator
    from airflow_sagemaker.promotion import SageMakerPromoteModelOperator
    from airflow_sagemaker.sensors import SageMakerTrainingPipelineSensor

    asset = Asset("model")
    store_path = Path(spec["store"])
    pushed: dict[str, Any] = {}
    ti = TaskInstance(
        dag_id=spec.get("dag_id", "d"),
        run_id=spec.get("run_id", "r"),
        task_id="start",
        map_index=spec.get("map_index", -1),
        max_tries=spec.get("max_tries", 1),
        try_number=spec.get("try_number", 1),
        pushed=pushed,
        halt=spec.get("halt", ""),
        store_path=store_path,
    )
    context = {
        "ti": ti,
        "task_state_store": FileStore(store_path, spec.get("halt", "")),
        "dag_run": SimpleNamespace(
            partition_key=spec["partition"],
            run_after=datetime.now(UTC),
            logical_date=None,
            clear_number=spec.get("clear_number", 0),
        ),
        "dag": None,
        "outlet_events": OutletEventAccessors(),
    }
    if not has_task_state_store() or spec.get("on_s3"):
        del context["task_state_store"]
        halting_saves(store_path, spec.get("halt", ""))
    task: Any
    if "promote" in spec:
        task = SageMakerPromoteModelOperator(task_id="promote", **spec["promote"])
        task.partition = spec["partition"]
        task.outlets.append(asset)
    elif "sensor" in spec:
        task = SageMakerTrainingPipelineSensor(task_id="wait", **spec["sensor"])
    else:
        limits = {name: timedelta(seconds=spec[name]) for name in ("execution_timeout",) if name in spec}
        task = SageMakerTrainingPipelineOperator(task_id="start", **limits, **spec["operator"])
        if "partition" not in spec["operator"]:  # as Airflow renders the default
            task.partition = spec["partition"] if spec["partition"] is not None else "2013-07-04"
        task.outlets.append(asset)
    signals(task)
    result: dict[str, Any] = {}
    try:
        event = spec.get("event")
        if spec.get("timed_out"):
            task.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
        if event:
            result["returned"] = task.execute_complete(context, event)
        else:
            keep_time: Any = getattr(task_runner, "_run_execute_callable", lambda *given: given[1](given[0]))
            result["returned"] = keep_time(context, task.execute, task)
        result["asset_partitions"] = sorted(getattr(context["outlet_events"][asset], "partition_keys", ()))
    except BaseException as error:
        result.update(error=type(error).__name__, message=str(error))
        if hasattr(error, "trigger"):
            result["trigger"] = error.trigger.serialize()
    result["pushed"] = pushed
    Path(spec["result"]).write_text(json.dumps(result, default=str))


def signals(operator: Any) -> None:
    """As Airflow's task runner: SIGTERM calls on_kill and `execute` runs on."""

    def on_term(*_: Any) -> None:
        print("SIGTERM", flush=True)
        operator.on_kill()
        print("on_kill has returned", flush=True)

    signal.signal(signal.SIGTERM, on_term)


def fork_worker(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(order["env"])
    try:
        main(json.loads(Path(order["spec"]).read_text()))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(0)


def serve() -> None:
    import airflow.providers.amazon.aws.hooks.base_aws  # noqa: F401
    import boto3  # noqa: F401

    import airflow_sagemaker.definition.compiler
    import airflow_sagemaker.operators
    import airflow_sagemaker.promotion
    import airflow_sagemaker.sensors
    import airflow_sagemaker.start.launcher
    import airflow_sagemaker.wait.execution_watch  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are not waited for
    for line in sys.stdin:
        print(fork_worker(json.loads(line)), flush=True)


if __name__ == "__main__":
    serve()
