"""Use each new model: follows the asset `flight_delay_model`, with one run per partition and the same partition key.

An example of another team's DAG, which depends only on the asset's name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, Asset, PartitionedAssetTimetable, task

MODEL = Asset("flight_delay_model")


@task(inlets=[MODEL])
def newest_model(partition: str, inlet_events: Any = None) -> dict[str, str]:
    """Return the S3 URI of the partition's newest model, from the asset's events."""
    models = [event.extra for event in inlet_events[MODEL] if event.extra.get("partition") == partition]
    return {"partition": partition, "model_artifact": models[-1]["model_artifact"]}


with DAG(
    dag_id="flight_delay_follow_up",
    schedule=PartitionedAssetTimetable(assets=MODEL),
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["example"],
    doc_md=__doc__,
) as dag:
    newest_model("{{ dag_run.partition_key }}")
