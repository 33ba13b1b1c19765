"""Compiled definitions in S3, so that only one of many hosts compiles.

An entry is a small JSON object next to its code; the files are stored where the definition refers to them, and are
fetched from there. The cache never fails a training: if there is no entry, or it cannot be read or trusted, the host
compiles the definition itself.

Write access to the bucket does not make an entry trustworthy, because it determines what runs and under which role. An
entry is used only if SageMaker has the same definition under its alias and role (which needs
sagemaker:UpdatePipeline), its code is this host's, and the content of each upload matches its key.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sagemaker.definition.source_files import digest_of_digests
from airflow_sagemaker.definition.trust import Distrusted, code_channels, require_deployed, require_own_code
from airflow_sagemaker.types import JsonObject

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws


class S3Cache:
    """Entries at s3://bucket/<pipeline name>/compiled/<key>.json for a pipeline that runs under `role_arn`."""

    def __init__(self, aws: Aws, bucket: str, pipeline_name: str, role_arn: str) -> None:
        self._aws = aws
        self._bucket = bucket
        self._pipeline_name = pipeline_name
        self._role_arn = role_arn

    def get(self, key: str, folder: Path, sources: Mapping[str, str]) -> JsonObject | None:
        """Return an entry whose files have been fetched into `folder`, or None.

        `sources` are the files of this host's source_dir: sha256 by relative path.
        """
        try:
            entry: JsonObject = json.loads(self._read(self._bucket, self._key(key)))
            self._check_uploads(entry, sources)
            require_deployed(self._aws, self._pipeline_name, self._role_arn, entry["definition"])
            for upload in entry["uploads"]:
                content = self._read(upload["bucket"], upload["key"])
                if hashlib.sha256(content).hexdigest() != upload["sha256"]:
                    raise Distrusted(f"s3://{upload['bucket']}/{upload['key']} does not match its key")
                path = folder / upload["sha256"]
                path.write_bytes(content)
                upload["path"] = str(path)
        except Distrusted as reason:
            self._aws.log.warning(
                "Compiling here: the definition at s3://%s/%s is not used, because %s",
                self._bucket, self._key(key), reason,
            )  # fmt: skip
            return None
        except Exception as error:
            self._aws.log.debug("No compiled definition in S3: %s", error)
            return None
        return entry

    def put(self, key: str, entry: JsonObject) -> None:
        """Store an entry for other hosts."""
        body = json.dumps(entry).encode()
        try:
            self._aws.call("s3", "put_object", Bucket=self._bucket, Key=self._key(key), Body=body)
        except Exception as error:
            self._aws.log.debug("The compiled definition was not stored in S3: %s", error)

    def _check_uploads(self, entry: JsonObject, sources: Mapping[str, str]) -> None:
        """Raise unless the uploads are the training step's content-addressed folders, with this host's code.

        Names of other steps' uploads do not prove their content.
        """
        channels = code_channels(entry["definition"])
        folders: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for upload in entry["uploads"]:
            where = f"s3://{upload['bucket']}/{upload['key']}"
            folder = next((uri for uri in channels.values() if where.startswith(f"{uri}/")), None)
            if folder is None:
                raise Distrusted(f"it uploads {where}, which is not a channel of the training step")
            folders[folder][where.removeprefix(f"{folder}/")] = upload["sha256"]
        for folder, files in folders.items():
            if digest_of_digests(files) != folder.rpartition("/")[2]:
                raise Distrusted(f"the files below {folder} do not match its name")
        require_own_code(folders[channels["code"]], sources)

    def _key(self, key: str) -> str:
        return f"{self._pipeline_name}/compiled/{key}.json"

    def _read(self, bucket: str, key: str) -> bytes:
        content: bytes = self._aws.call("s3", "get_object", Bucket=bucket, Key=key)["Body"].read()
        return content
