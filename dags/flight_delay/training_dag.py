"""The DAG of both variants: extract -> (preprocess ->) start -> wait -> report (-> promote)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Asset, CronPartitionTimetable, PokeReturnValue, task

from airflow_sagemaker import RUN_PARTITION, SageMakerPromoteModelOperator, SageMakerTrainingTaskGroup
from airflow_sagemaker.contract import VALIDATION_AUC, XCom
from airflow_sagemaker.types import JsonObject
from flight_delay import form, tasks
from flight_delay.form import AWS_CONN_ID, GROUP, HYPERPARAMETERS, MAX_TRAININGS, PARAMS, POOL, WAIT_EVERY, WAIT_WITHIN
from preprocessing.window import Window

PROCESSING_STEP = "flight_delay.processing_step:preprocess_by_{{ params.split_by }}"
STEPS_SPLITS = f"{{{{ ti.xcom_pull(task_ids='start_training', key='{XCom.STARTED}')['parameters']['InputPath'] }}}}"
"""Where the Processing step wrote the splits and their manifest."""


def training_dag(
    dag_id: str,
    *,
    pipeline: str,
    model: Asset,
    table: Asset | None = None,
    champion: Asset | None = None,
    preprocess_in_pipeline: bool = False,
    split_by: form.SplitBy = "time",
    doc_md: str | None = None,
) -> DAG:
    """Return the DAG that trains a model for every date partition.

    `pipeline` is the name of the SageMaker pipeline and of the first folder on S3. The events of `model`, and of
    `table` if an Airflow task writes it, have the partition key.

    With `preprocess_in_pipeline`, the preprocessing is not an Airflow task but a Processing step of the pipeline, added
    through the operator's `dependencies`. The window's length is then part of the definition, and not in the form.

    `split_by` is the form's default for how rows are split. With `champion`, the DAG ends with the promotion of the
    model, which creates an event of this asset.
    """
    in_form = [name for name in PARAMS if name != "window_days" or not preprocess_in_pipeline]
    with DAG(
        dag_id=dag_id,
        schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
        start_date=datetime(2013, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=MAX_TRAININGS,
        params={**{name: PARAMS[name] for name in in_form}, "split_by": form.split_by(split_by)},
        render_template_as_native_obj=True,
        tags=["sagemaker", "example"],
        doc_md=doc_md,
    ) as dag:
        data: JsonObject = {
            "partition": RUN_PARTITION,
            "window_days": "{{ params.window_days }}" if "window_days" in in_form else Window.days,
            "missing_data": "{{ params.missing_data }}",
        }
        config = {
            "pipeline_name": pipeline,
            "training_instance_type": "{{ params.training_instance_type }}",
            "max_runtime_seconds": 4 * 3600,
            "hyperparameters": HYPERPARAMETERS,
        }
        ready = extract(**data, list_for=pipeline if preprocess_in_pipeline else None)
        dependencies = [PROCESSING_STEP]
        prepared: Any = None
        if not preprocess_in_pipeline:
            dependencies = []
            split = "{{ params.split_by }}"
            prepared = preprocess.override(outlets=[table] if table else [])(**data, split_by=split, pipeline=pipeline)
            config["input_path"] = "{{ ti.xcom_pull(task_ids='preprocess')['input_path'] }}"
            ready >> prepared
        checked = STEPS_SPLITS if preprocess_in_pipeline else None

        def conclude(partition: str, outcome: Any) -> Any:
            reported = report.override(outlets=[model])(partition, outcome, prepared, checked)
            return reported >> promotion(outcome, champion) if champion is not None else reported

        (ready if prepared is None else prepared) >> SageMakerTrainingTaskGroup(
            config,
            prefix_group_id=False,
            check=None,  # the preprocessing checks its splits
            report=conclude,
            aws_conn_id=AWS_CONN_ID,
            max_concurrent_executions=MAX_TRAININGS,
            pool=POOL,
            retry_delay=timedelta(seconds=10),
            start_args={"dependencies": dependencies, "poll_interval": 10},
            wait_args={"poke_interval": 5, "timeout": timedelta(hours=6).total_seconds()},
        )
    return dag


@task.sensor(
    mode="reschedule",
    poke_interval=WAIT_EVERY.total_seconds(),
    timeout=WAIT_WITHIN.total_seconds(),
    retries=2,
    retry_delay=timedelta(seconds=10),
)
def extract(partition: str, window_days: int, missing_data: str, list_for: str | None) -> PokeReturnValue:
    """Write the raw dates that the window reads to S3, unless they are there; optionally wait for missing ones."""
    found = tasks.extract(AWS_CONN_ID, partition, window_days, list_for=list_for, missing_data=missing_data)
    return PokeReturnValue(is_done=found is not None, xcom_value=found)


@task(retries=2, retry_delay=timedelta(seconds=10))
def preprocess(
    partition: str, window_days: int, missing_data: str, split_by: str, pipeline: str, ti: Any = None
) -> JsonObject:
    """Build train, val and test of the partition and commit them to S3; returns paths, rows and field lists.

    Pushes the findings of the data checks as XCom `data_checks`, whether they pass or fail.
    """

    def keep(findings: list[JsonObject]) -> None:
        ti.xcom_push(key=XCom.DATA_CHECKS.value, value=findings)

    return tasks.preprocess(AWS_CONN_ID, pipeline, partition, window_days, missing_data, split_by, keep)


def promotion(outcome: Any, champion: Asset) -> SageMakerPromoteModelOperator:
    """Return the task that makes the model the champion if it is good enough."""
    return SageMakerPromoteModelOperator(
        task_id="promote",
        outcome=outcome,
        group=GROUP,
        metric=VALIDATION_AUC.name,
        min_value=0.55,
        tolerance=0.01,
        aws_conn_id=AWS_CONN_ID,
        outlets=[champion],
        retries=3,
        retry_delay=timedelta(seconds=10),
    )


@task(retries=2, retry_delay=timedelta(seconds=10))
def report(
    partition: str, outcome: JsonObject, prepared: JsonObject | None, checked: str | None, **context: Any
) -> JsonObject:
    """Log the model's metrics next to those of a constant predictor, and return them.

    `checked` is the folder of splits that a Processing step has checked: the findings in its manifest become an XCom.
    """
    if checked:
        context["ti"].xcom_push(key=XCom.DATA_CHECKS.value, value=tasks.findings(AWS_CONN_ID, checked))
    summary = tasks.report(partition, outcome, prepared)
    extra = {name: summary[name] for name in ("model_artifact", "partition")}
    for asset in context["task"].outlets:
        context["outlet_events"][asset].extra = extra
    return summary
