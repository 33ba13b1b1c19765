"""Promote a model with manual approval: one that is good enough waits until somebody approves it in Airflow's UI.

`promote` registers the model in SageMaker's model registry. A model that is worse than the champion is rejected without
asking anyone, and the run still succeeds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Asset, CronPartitionTimetable, task

from airflow_sagemaker import (
    RUN_PARTITION,
    SageMakerPromoteModelOperator,
    SageMakerTrainingPipelineOperator,
    SageMakerTrainingPipelineSensor,
)

PACKAGE = "{{ ti.xcom_pull(task_ids='promote')['package_arn'] }}"


@task
def preprocess(partition: str) -> str:
    """Write the partition's table; returns its folder."""
    from customers.table import write_table

    return write_table("customers", partition)


@task.short_circuit
def needs_a_person(promoted: dict[str, Any]) -> bool:
    """Skip the remaining tasks for a rejected model."""
    return bool(promoted["status"] == "PendingManualApproval")


def settle(package_arn: str, status: str) -> None:
    """Write the answer into SageMaker's registry."""
    SageMakerHook().conn.update_model_package(
        ModelPackageArn=package_arn,
        ModelApprovalStatus=status,
        ApprovalDescription=f"{status.lower()} in Airflow",
    )


@task(outlets=[Asset("customers_champion")])
def approve(package_arn: str) -> None:
    """Make the model the champion, and update the asset."""
    settle(package_arn, "Approved")


@task(trigger_rule="all_skipped")
def reject(package_arn: str) -> None:
    """Runs if the answer was Reject, which skips `approve`."""
    settle(package_arn, "Rejected")


with DAG(
    dag_id="customers_promoted",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=30)},
    tags=["sagemaker", "example"],
    doc_md=__doc__,
) as dag:
    start = SageMakerTrainingPipelineOperator(task_id="start_training", config="customers/training.yaml")
    wait = SageMakerTrainingPipelineSensor(task_id="wait_for_training", execution_arn=start.output)
    promote = SageMakerPromoteModelOperator(
        task_id="promote",
        outcome=wait.output,
        group="customers",
        metric="Validation AUC ROC",
        min_value=0.5,
        tolerance=0.01,
        approval="manual",
    )
    ask = ApprovalOperator(
        task_id="ask",
        subject="Use the customers model of {{ dag_run.partition_key }}?",
        body="{{ ti.xcom_pull(task_ids='promote')['reason'] }}",
    )
    preprocess(RUN_PARTITION) >> start >> wait >> promote
    needs_a_person(promote.output) >> ask >> approve(PACKAGE) >> reject(PACKAGE)
