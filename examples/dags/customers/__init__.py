"""A small synthetic table of customers, and the settings that the example DAGs share; hidden by .airflowignore."""

from __future__ import annotations

from typing import Any

AWS_CONN_ID = "aws_default"

HYPERPARAMETERS: dict[str, Any] = {
    "id_name": "customer_id",
    "label_name": "target",
    "full_field_list": ["customer_id", "target", "age", "visits", "country"],
    "tab_field_list": ["age", "visits"],
    "cat_field_list": ["country"],
    "epochs": 3,
}
"""The table's columns, and the settings that differ from the defaults."""


def config(pipeline_name: str, **changes: object) -> dict[str, Any]:
    """Return a training configuration; bucket, role and region come from the Airflow connection."""
    return {
        "pipeline_name": pipeline_name,
        "training_instance_type": "ml.m5.large",
        "max_runtime_seconds": 3600,
        "hyperparameters": HYPERPARAMETERS,
        **changes,
    }
