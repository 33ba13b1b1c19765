"""The compile process, `python -m ... WORK_FOLDER`: reads a request, imports the SDK, writes a response.

Its standard input is empty, it has no credentials, and any call to AWS is an error. WORK_FOLDER/request.json contains
{"kind": ..., "config": {...}, ...} of `definition.request`; WORK_FOLDER/response.json gets either
{"definition", "uploads": [{"bucket", "key", "path", "sha256", "size"}]} or {"error", "kind"}.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sagemaker.types import JsonObject

if TYPE_CHECKING:
    from sagemaker.core.workflow.pipeline_context import PipelineSession

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends (Linux only; elsewhere the time limit remains)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


class RecordingUploader:
    """Stores the files in the work folder, and records where the parent must upload them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.uploads: dict[tuple[str, str], JsonObject] = {}

    def upload(self, files: Mapping[str, bytes], bucket: str, prefix: str) -> None:
        """Record each file for s3://bucket/prefix/<relative path>."""
        for name, content in files.items():
            self.add(content, bucket, f"{prefix}/{name}")

    def add(self, content: bytes, bucket: str, key: str) -> None:
        """Record a file's content for s3://bucket/key."""
        import hashlib

        digest = hashlib.sha256(content).hexdigest()
        path = self._folder / digest
        path.write_bytes(content)
        self.uploads[bucket, key] = {
            "path": str(path), "bucket": bucket, "key": key, "sha256": digest, "size": len(content),
        }  # fmt: skip


def recording_session(region: str, bucket: str, uploader: RecordingUploader) -> PipelineSession:
    """Return a PipelineSession without AWS calls: uploads of steps are recorded, everything else raises an error."""
    import boto3
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    from airflow_sagemaker.definition.sdk.session import TELEMETRY_OFF
    from airflow_sagemaker.definition.source_files import contents_of
    from airflow_sagemaker.exceptions import CompileError

    class RecordingSession(PipelineSession):  # type: ignore[misc]
        def default_bucket(self) -> str:
            return bucket

        def upload_data(
            self, path: str, bucket: str | None = None, key_prefix: str = "data", **_: object
        ) -> str:  # the SDK's signature
            target = bucket or self.default_bucket()
            if Path(path).is_dir():
                uploader.upload(contents_of(path), target, key_prefix)
                return f"s3://{target}/{key_prefix}"
            uploader.upload({Path(path).name: Path(path).read_bytes()}, target, key_prefix)
            return f"s3://{target}/{key_prefix}/{Path(path).name}"

        def upload_string_as_file_body(self, body: str, bucket: str, key: str, **_: object) -> str:
            uploader.add(body.encode(), bucket, key)
            return f"s3://{bucket}/{key}"

    def refuse(event_name: str, **_: object) -> None:
        raise CompileError(f"compiling must not call AWS, but a step called {event_name.removeprefix('before-call.')}")

    session = boto3.Session(region_name=region)
    session.events.register("before-call", refuse)
    return RecordingSession(boto_session=session, default_bucket=bucket, sagemaker_config=TELEMETRY_OFF)


def check_settings_once() -> None:
    """Make the SDK validate equal settings once, instead of at each of ten uses (0.8 s in total)."""
    from sagemaker.core.config.config_manager import SageMakerConfig

    check, valid = SageMakerConfig.validate_sagemaker_config, []

    def check_once(settings: JsonObject | None = None) -> None:
        if settings not in valid:
            check(settings)
            valid.append(deepcopy(settings))

    SageMakerConfig.validate_sagemaker_config = staticmethod(check_once)


def compile_request(request: JsonObject, folder: Path) -> JsonObject:
    """Return the response to a request."""
    from airflow_sagemaker.definition.request import config_of
    from airflow_sagemaker.definition.sdk.pipeline import build_pipeline, canonical_definition

    check_settings_once()
    config = config_of(request)
    uploader = RecordingUploader(folder)
    session = recording_session(str(config.region), str(config.code_bucket), uploader)
    pipeline = build_pipeline(config, sagemaker_session=session, uploader=uploader)
    definition = canonical_definition(pipeline)
    uploads = sorted(uploader.uploads.values(), key=lambda upload: (upload["bucket"], upload["key"]))
    return {"definition": definition, "uploads": uploads}


def main() -> None:
    """Process the request in the work folder."""
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    gc.disable()  # saves half a second: importing the SDK creates no garbage
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    files = folder / "files"
    files.mkdir()
    try:
        response = compile_request(request, files)
    except ImportError as error:
        traceback.print_exc()
        response = {"kind": "sdk" if (error.name or "").startswith("sagemaker") else "compile", "error": str(error)}
    except Exception as error:
        traceback.print_exc()
        response = {"kind": "compile", "error": f"{type(error).__name__}: {error}"}
    partial = folder / "response.json.part"
    partial.write_text(json.dumps(response), encoding="utf-8")
    partial.replace(folder / "response.json")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # unloading the SDK's modules would take another second


if __name__ == "__main__":
    main()
