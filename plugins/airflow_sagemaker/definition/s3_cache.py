"""Compiled definitions in S3, so that of many hosts one compiles.

An entry is a small JSON object beside the code that it names; the files themselves lie where the definition wants them
and are fetched from there, checked against their digests. Nothing here may fail a training: without an entry, without
the right to read it, or with a file that has changed, the host compiles by itself.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws


class S3Cache:
    """Entries at s3://bucket/<pipeline name>/compiled/<key>.json."""

    def __init__(self, aws: Aws, bucket: str, pipeline_name: str) -> None:
        self._aws = aws
        self._bucket = bucket
        self._prefix = f"{pipeline_name}/compiled"

    def get(self, key: str, folder: Path) -> dict[str, Any] | None:
        """Return an entry whose files have been fetched into `folder`, or None."""
        try:
            entry: dict[str, Any] = json.loads(self._read(self._bucket, f"{self._prefix}/{key}.json"))
            for upload in entry["uploads"]:
                content = self._read(upload["bucket"], upload["key"])
                if hashlib.sha256(content).hexdigest() != upload["sha256"]:
                    return None
                path = folder / upload["sha256"]
                path.write_bytes(content)
                upload["path"] = str(path)
        except Exception as error:
            self._aws.log.debug("No compiled definition in S3: %s", error)
            return None
        return entry

    def put(self, key: str, entry: dict[str, Any]) -> None:
        """Store an entry for other hosts."""
        body = json.dumps(entry).encode()
        try:
            self._aws.call("s3", "put_object", Bucket=self._bucket, Key=f"{self._prefix}/{key}.json", Body=body)
        except Exception as error:
            self._aws.log.debug("The compiled definition was not stored in S3: %s", error)

    def _read(self, bucket: str, key: str) -> bytes:
        content: bytes = self._aws.call("s3", "get_object", Bucket=bucket, Key=key)["Body"].read()
        return content
