"""A model per date, promoted or not, and the scoring of a date with the champion; one date's data may be spoilt."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG, CronPartitionTimetable, task

sys.path.append(str(Path(__file__).resolve().parents[4] / "examples" / "dags"))

from customers import config, table

from airflow_sagemaker import (
    RUN_PARTITION,
    SageMakerPromoteModelOperator,
    SageMakerTrainingPipelineOperator,
    SageMakerTrainingPipelineSensor,
)

PIPELINE = GROUP = "backfilled-customers"
DAILY = {
    "schedule": CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "default_args": {"retries": 3, "retry_delay": timedelta(seconds=10)},
}


@task
def preprocess(partition: str) -> str:
    """Write the partition's table; of the spoilt one the labels in train are the wrong way round."""
    honest = table.customers

    def customers(seed: str, rows: int) -> list[dict[str, object]]:
        made = honest(seed, rows)
        spoilt = seed == f"{os.environ['SPOILT_PARTITION']}/train"
        return [{**row, "target": 1 - row["target"]} for row in made] if spoilt else made

    table.customers = customers
    return table.write_table(PIPELINE, partition)


with DAG(dag_id="backfilled_customers", max_active_runs=4, **DAILY) as training:
    start = SageMakerTrainingPipelineOperator(task_id="start_training", config=config(PIPELINE))
    wait = SageMakerTrainingPipelineSensor(task_id="wait_for_training", execution_arn=start.output)
    promote = SageMakerPromoteModelOperator(
        task_id="promote",
        outcome=wait.output,
        group=GROUP,
        metric="Validation AUC ROC",
        min_value=0.5,
        tolerance=0.2,
        notifiers=SmtpNotifier(
            to="team@example.com",
            subject="{{ promotion.status }} {{ promotion.partition }}",
            html_content="{{ promotion.reason }}",
        ),
    )
    preprocess(RUN_PARTITION) >> start >> wait >> promote

with DAG(dag_id="scored_customers", **DAILY) as scoring:
    score = SageMakerTrainingPipelineOperator(
        task_id="score",
        config={
            "kind": "scoring",
            "pipeline_name": "scored-customers",
            "group": GROUP,
            "input_path": "{{ ti.xcom_pull(task_ids='rows') }}",
            "scoring_instance_type": "ml.m5.large",
        },
    )
    wait_for_scores = SageMakerTrainingPipelineSensor(task_id="wait_for_scores", execution_arn=score.output)

    @task
    def rows(partition: str) -> str:
        """Write the rows of a date."""
        return f"{table.write_table('scored-customers', partition)}/test/test.parquet"

    rows(RUN_PARTITION) >> score >> wait_for_scores
