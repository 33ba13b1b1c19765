"""The environment variables of clients: printed by `serve` and `env`, and set for jobs."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from local_sagemaker.errors import StartError
from local_sagemaker.identifiers import REGION

FILE = "endpoint.json"


def client_environment(endpoint: str, s3_endpoint: str, access_key: str, secret_key: str) -> dict[str, str]:
    """The variables that make any boto3 program a client of this server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_S3": s3_endpoint,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def export_lines(environment: dict[str, str]) -> str:
    """`export NAME=value` lines for a shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def save(data_dir: Path, environment: dict[str, str]) -> None:
    """Write the variables to the file that `env` reads, which only its owner can read."""
    temporary = data_dir / f"{FILE}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(environment, stream)
    temporary.replace(data_dir / FILE)


def load(data_dir: Path) -> dict[str, str]:
    """The variables of this folder's server; StartError if there are none or they cannot be read."""
    try:
        environment: dict[str, str] = json.loads((data_dir / FILE).read_text())
    except FileNotFoundError:
        raise StartError(
            f"no local SageMaker has served {data_dir}: start one with serve --data-dir {data_dir}"
        ) from None
    except (OSError, ValueError) as error:
        raise StartError(f"{data_dir / FILE} cannot be read: {error}") from None
    return environment
