"""DAGs whose tasks can be stopped at a named point: the folder FAULTS_DIR holds their sources and signs."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, CronPartitionTimetable, Param, get_current_context, task

from airflow_sagemaker import PytorchTrainingConfig, SageMakerTrainingPipelineOperator, SageMakerTrainingPipelineSensor

FOLDER = Path(os.environ["FAULTS_DIR"])
CONFIG = {
    "pipeline_name": "faulty",
    "source_dir": str(FOLDER / "source"),
    "training_instance_type": "ml.m5.large",
    "profiler": None,
    "install_requirements": False,
    "distribution": "none",
    "hyperparameters": {
        "id_name": "id",
        "label_name": "y",
        "full_field_list": ["id", "y", "a", "b"],
        "tab_field_list": ["a"],
        "cat_field_list": ["b"],
        "epochs": "{{ params.seconds }}",
    },
}

GUARDED = {**CONFIG, "pipeline_name": "guarded"}


class Halting(SageMakerTrainingPipelineOperator):
    """Stops after the start and before its XCom, in the first try of runs that ask for it."""

    def _watch(self, *arguments: Any) -> Any:
        context = get_current_context()
        if context["params"]["halt"] and context["ti"].try_number == 1:
            (FOLDER / f"pid-{context['run_id']}").write_text(str(os.getpid()))
            time.sleep(600)
        return super()._watch(*arguments)


def dag(dag_id: str) -> DAG:
    return DAG(
        dag_id,
        schedule=None,
        params={"seconds": Param(2, type="integer"), "halt": False, "day": "2013-07-04"},
        default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
    )


with dag("start_and_wait"):

    @task
    def before() -> None:
        """A neighbour."""

    start = Halting(task_id="start", config=CONFIG, partition="{{ params.day }}", on_busy="ignore", preflight=False)
    wait = SageMakerTrainingPipelineSensor(
        task_id="wait", execution_arn="{{ ti.xcom_pull('start') }}", poke_interval=1, progress="logs"
    )
    before() >> start >> wait

    wait.outlets.append(Asset("trained"))

with dag("timing_out"):
    start = SageMakerTrainingPipelineOperator(
        task_id="start", config=CONFIG, partition="{{ params.day }}", on_busy="ignore"
    )
    start >> SageMakerTrainingPipelineSensor(
        task_id="wait", execution_arn="{{ ti.xcom_pull('start') }}", poke_interval=1, timeout=4, stop_on_timeout=True
    )

with dag("rescheduling"):
    start = SageMakerTrainingPipelineOperator(
        task_id="start", config=CONFIG, partition="{{ params.day }}", on_busy="ignore"
    )
    start >> SageMakerTrainingPipelineSensor(
        task_id="wait", execution_arn="{{ ti.xcom_pull('start') }}", deferrable=False, mode="reschedule",
        poke_interval=2, progress="logs",
    )  # fmt: skip

with dag("returned"):

    @task
    def configure(as_dict: bool) -> Any:
        """Returns the configuration itself, which Airflow does not deserialize, or as plain data."""
        config = PytorchTrainingConfig.from_dict(
            {**CONFIG, "hyperparameters": {**CONFIG["hyperparameters"], "epochs": 1}}
        )
        return config.to_dict() if as_dict else config

    for as_dict in (False, True):
        SageMakerTrainingPipelineOperator(
            task_id=f"start_{as_dict}".lower(), config=configure.override(task_id=f"make_{as_dict}".lower())(as_dict),
            partition="{{ params.day }}", on_busy="ignore",
        )  # fmt: skip

with dag("mapped"):
    many = SageMakerTrainingPipelineOperator.partial(task_id="start", config=CONFIG, on_busy="ignore").expand(
        partition=["2014-01-01", "2014-01-02"]
    )
    SageMakerTrainingPipelineSensor.partial(task_id="wait", poke_interval=1).expand(execution_arn=many.output)

with dag("guarded"):
    SageMakerTrainingPipelineOperator(task_id="dry", config=CONFIG, partition="{{ params.day }}", dry_run=True)
    first = SageMakerTrainingPipelineOperator(
        task_id="first", config=GUARDED, partition="{{ params.day }}", mode="test", pool="one_at_a_time"
    )
    first >> SageMakerTrainingPipelineOperator(
        task_id="second", config=GUARDED, partition="2014-02-02", max_concurrent_executions=1, poll_interval=1
    )

with dag("alone"):
    Halting(
        task_id="train", config=CONFIG, partition="{{ params.day }}", deferrable=True, poll_interval=1,
        on_busy="ignore", preflight=False,
    )  # fmt: skip

with dag("in_worker"):
    SageMakerTrainingPipelineOperator(
        task_id="train", config=CONFIG, partition="{{ params.day }}", wait_for_completion=True, poll_interval=1,
        on_busy="ignore", preflight=False,
    )  # fmt: skip

with dag("in_turn") as in_turn:
    in_turn.default_args["retries"] = 0
    for number in (1, 2):
        SageMakerTrainingPipelineOperator(
            task_id=f"train_{number}", config={**CONFIG, "pipeline_name": "in-turn"}, partition="{{ params.day }}",
            deferrable=True, poll_interval=2, preflight=False, retries=0,
        )  # fmt: skip

with DAG(
    "soak",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=12,
    params={"seconds": Param(2, type="integer")},
    default_args={"retries": 50, "retry_delay": timedelta(seconds=1)},
):
    begin = SageMakerTrainingPipelineOperator(task_id="start", config=CONFIG, poll_interval=2)
    begin >> SageMakerTrainingPipelineSensor(
        task_id="wait", execution_arn="{{ ti.xcom_pull('start') }}", poke_interval=2
    )
