"""This package as an Airflow provider: `airflow providers list`, `airflow config list`."""

from __future__ import annotations

from airflow_sagemaker.types import JsonObject

PACKAGE = "airflow-sagemaker"


def get_provider_info() -> JsonObject:
    """Airflow's provider metadata (entry point `apache_airflow_provider`).

    The plugin has its own entry point (`airflow.plugins`), because Airflow loads plugins of providers only if
    core.lazy_load_providers is off. If it is in the plugins folder, too, Airflow logs "already registered, skipping".
    """
    return {
        "package-name": PACKAGE,
        "name": "SageMaker training pipelines",
        "description": "Train PyTorch models on SageMaker Pipelines: one execution per task run, never lost.",
        "operators": [
            {"integration-name": "SageMaker training pipelines", "python-modules": ["airflow_sagemaker.operators"]}
        ],
        "sensors": [
            {"integration-name": "SageMaker training pipelines", "python-modules": ["airflow_sagemaker.sensors"]}
        ],
        "triggers": [
            {"integration-name": "SageMaker training pipelines", "python-modules": ["airflow_sagemaker.triggers"]}
        ],
        "integrations": [
            {
                "integration-name": "SageMaker training pipelines",
                "external-doc-url": "https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines.html",
                "tags": ["aws"],
            }
        ],
        "extra-links": [
            f"airflow_sagemaker.links.{name}"
            for name in ("ExecutionLink", "TrainingJobLink", "TrainingLogLink", "ModelArtifactLink")
        ],
        "config": {
            "airflow_sagemaker": {
                "description": "The pages Training report and Partition history, and records of what was started.",
                "options": {
                    "price_per_hour": _option("Instance type to price per hour, as JSON.", '{"ml.g5.12xlarge": 7.09}'),
                    "price_currency": _option("Currency shown next to the price.", "EUR", default="USD"),
                    "record_bucket": _option(
                        "Bucket of the records of started executions, where Airflow has no task state store (3.2).",
                        "my-bucket",
                    ),
                    "record_prefix": _option(
                        "Prefix of the records in the bucket; each Airflow that shares the bucket needs its own.",
                        "airflow-sagemaker/records-of-staging",
                    ),
                    "live_figures": _option(
                        "Whether the api-server reads the figures of running trainings from AWS.",
                        "True",
                        default="False",
                        kind="boolean",
                    ),
                },
            }
        },
    }


def _option(description: str, example: str, default: str = "", kind: str = "string") -> JsonObject:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": kind,
        "example": example,
        "default": default,
    }
