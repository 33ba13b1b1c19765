"""A role, hyperparameters, a training program and a connection for tests."""

from __future__ import annotations

import json
from typing import Any

ROLE = "arn:aws:iam::123456789012:role/LocalSageMakerRole"
HYPERPARAMETERS = {
    "id_name": "id",
    "label_name": "y",
    "full_field_list": ["id", "y", "a", "b"],
    "tab_field_list": ["a"],
    "cat_field_list": ["b"],
}
TRAIN = """
import argparse, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
seconds = parser.parse_known_args()[0].epochs
print("sleeping", seconds, flush=True)
for epoch in range(seconds):
    time.sleep(1)
    print(f"Train Loss: {1 / (epoch + 1):.6f}", flush=True)
if seconds == 3:
    raise RuntimeError("the user's own fault")
"""
FAILS = 3
"""Epochs (and seconds) after which the program above raises."""


def connection_of(
    aws: dict[str, str],
    endpoint: str,
    bucket: str,
    *,
    assume_role: str = "",
    region: str | None = "us-east-1",
    s3_endpoint: str = "",
) -> str:
    """Return the Airflow connection of a local SageMaker, as JSON."""
    extra: dict[str, Any] = {
        "region_name": region,
        "endpoint_url": endpoint,
        "config_kwargs": {"read_timeout": 60},
        "service_config": {
            "s3": {"bucket_name": bucket, "endpoint_url": s3_endpoint or aws["AWS_ENDPOINT_URL_S3"]},
            "sagemaker": {"execution_role_arn": ROLE},
        },
    }
    if assume_role:
        extra["role_arn"] = assume_role
        extra["service_config"]["sts"] = {"endpoint_url": endpoint}
    login, password = aws["AWS_ACCESS_KEY_ID"], aws["AWS_SECRET_ACCESS_KEY"]
    return json.dumps({"conn_type": "aws", "login": login, "password": password, "extra": extra})
