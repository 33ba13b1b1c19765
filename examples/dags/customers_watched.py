"""Send an e-mail when a metric gets worse, a task fails or a partition is late.

Instead of SMTP, use the notifier of SNS, Slack or any other `BaseNotifier`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG, AsyncCallback, CronPartitionTimetable, DeadlineAlert, DeadlineReference, task

from airflow_sagemaker import (
    RUN_PARTITION,
    SageMakerTrainingPipelineOperator,
    SageMakerTrainingPipelineSensor,
)

TEAM = "team@example.com"
RUN = "{{ dag_run.dag_id }} {{ dag_run.partition_key }}"


@task
def preprocess(partition: str) -> str:
    """Write the partition's table; returns its folder."""
    from customers.table import write_table

    return write_table("customers", partition)


with DAG(
    dag_id="customers_watched",
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "on_failure_callback": SmtpNotifier(to=TEAM, subject=f"{RUN}: {{{{ ti.task_id }}}} failed"),
    },
    # Called in the triggerer if the run has not ended four hours after it was queued.
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=4),
        callback=AsyncCallback(
            SmtpNotifier, kwargs={"to": TEAM, "subject": f"{RUN} is late", "html_content": "See Airflow."}
        ),
    ),
    tags=["sagemaker", "example"],
    doc_md=__doc__,
) as dag:
    start = SageMakerTrainingPipelineOperator(task_id="start_training", config="customers/training.yaml")
    wait = SageMakerTrainingPipelineSensor(
        task_id="wait_for_training",
        execution_arn=start.output,
        thresholds={"Validation AUC ROC": {"min_value": 0.6}},
        notifiers=SmtpNotifier(
            to=TEAM,
            subject=f"{RUN}: the model is unusual",
            html_content="{{ outcome.findings | join('<br>') }}",
        ),
    )
    preprocess(RUN_PARTITION) >> start >> wait
