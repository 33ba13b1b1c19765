"""The metrics of a pipeline's earlier trainings, by partition: one call of SageMaker's Search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sagemaker.config.partition_keys import partition_folder, partition_key
from airflow_sagemaker.types import JsonObject

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws

SEARCHED_JOBS = 100
"""Maximum results of one Search call."""


def search_request(folder: str) -> JsonObject:
    """Return the request that finds the completed trainings whose artifacts are below a folder, the newest first.

    The developer guide searches by the same property ("Search for information about related resources"); of its
    operators, Contains may be used once per expression.
    """
    return {
        "Resource": "TrainingJob",
        "SearchExpression": {
            "Filters": [
                {"Name": "TrainingJobStatus", "Operator": "Equals", "Value": "Completed"},
                {"Name": "ModelArtifacts.S3ModelArtifacts", "Operator": "Contains", "Value": folder},
            ]
        },
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": SEARCHED_JOBS,
    }


def earlier_metrics(aws: Aws, model_artifact: str, partition: str) -> dict[str, dict[str, float]]:
    """Return the final metrics of the newest training of each earlier partition, oldest partition first.

    Trainings belong together if the paths of their artifacts differ only in the partition. Empty if the path does not
    contain the partition. Partitions are compared as strings. Raises boto3's exceptions.
    """
    folder, found, _ = model_artifact.partition(f"/{partition_folder(partition)}/")
    if not partition or not found:
        return {}
    reply = aws.call("sagemaker", "search", **search_request(f"{folder}/"))
    metrics: dict[str, dict[str, float]] = {}
    for result in reply["Results"]:
        job: JsonObject = result.get("TrainingJob") or {}
        artifact = job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
        if not artifact.startswith(f"{folder}/"):
            continue
        name = partition_key(artifact.removeprefix(f"{folder}/").partition("/")[0])
        if name < partition:
            values = {item["MetricName"]: float(item["Value"]) for item in job.get("FinalMetricDataList") or []}
            metrics.setdefault(name, values)
    return dict(sorted(metrics.items()))
