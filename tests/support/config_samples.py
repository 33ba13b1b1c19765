"""Valid configurations that tests change."""

from __future__ import annotations

from typing import Any

TABLE: dict[str, Any] = {
    "id_name": "customer_id",
    "label_name": "target",
    "full_field_list": ["customer_id", "target", "feature1", "feature2", "feature3"],
    "tab_field_list": ["feature1", "feature2"],
    "cat_field_list": ["feature3"],
}
PATHS: dict[str, Any] = {
    "input_path": "s3://my-bucket/preprocessed-data/",
    "output_path": "s3://my-bucket/model-artifacts/",
    "checkpoint_path": "s3://my-bucket/checkpoints/",
}
ROLE = "arn:aws:iam::123456789012:role/Trainer"


def settings(**changes: object) -> dict[str, Any]:
    """Return a small valid configuration as plain data, with changes."""
    return {"hyperparameters": dict(TABLE), **PATHS, **changes}
