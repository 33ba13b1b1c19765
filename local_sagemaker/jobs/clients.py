"""boto3 clients that this server uses on behalf of jobs and functions."""

from __future__ import annotations

from collections.abc import Mapping

from local_sagemaker.types import BotoClient


def local_client(service: str, env: Mapping[str, str], *, max_connections: int = 10) -> BotoClient:
    """A client configured by the environment variables of jobs. The first call imports boto3."""
    import boto3
    from botocore.config import Config

    session = boto3.Session(
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name=env.get("AWS_DEFAULT_REGION", "us-east-1"),
    )
    endpoint = env.get(f"AWS_ENDPOINT_URL_{service.upper()}") or env["AWS_ENDPOINT_URL"]
    config = Config(
        retries={"max_attempts": 4, "mode": "standard"},
        s3={"addressing_style": "path"},
        max_pool_connections=max_connections,
    )
    client: BotoClient = session.client(service, endpoint_url=endpoint, config=config)
    return client
