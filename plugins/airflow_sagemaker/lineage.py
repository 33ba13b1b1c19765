"""OpenLineage: which S3 data a training reads and writes. Used only when the OpenLineage provider is installed."""

from __future__ import annotations

from airflow_sagemaker.contract import CHANNELS, channel_key


def lineage_of(inputs: list[str], outputs: list[str]) -> object:
    """Return the OperatorLineage of S3 URIs, None without the provider."""
    try:
        from airflow.providers.common.compat.openlineage.facet import Dataset
        from airflow.providers.openlineage.extractors import OperatorLineage  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None

    def dataset(uri: str) -> Dataset:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return Dataset(namespace=f"s3://{bucket}", name=key.rstrip("/") or "/")

    return OperatorLineage(inputs=[dataset(u) for u in inputs], outputs=[dataset(u) for u in outputs])


def lineage_of_parameters(parameters: dict[str, str], model_artifact: str = "") -> object:
    """Return the same from a pipeline's parameters: inputs are the channels, output is the model or the output path."""
    base = parameters.get("InputPath", "").rstrip("/")
    inputs = [f"{base}/{channel_key(channel)}" for channel in CHANNELS] if base else []
    output = model_artifact or parameters.get("OutputPath", "")
    return lineage_of(inputs, [output] if output else [])
