"""Definitions that were compiled elsewhere, for example in CI, and published for an Airflow without the SageMaker SDK.

A publication is one JSON object next to the code that it refers to. Its name is derived from what determines a
definition and is known without the SDK: pipeline name, static configuration (as far as it differs from the defaults),
source tree and reference modules. The versions of SDK and package that compiled it are recorded, but not part of the
name, because Airflow may have others. It is written last, after code and pipeline version, so that an interrupted
`publish` leaves nothing to find; and it is used only if SageMaker has the same definition (`trust`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.faults import Fault, classify_error, explain_error
from airflow_sagemaker.aws.versions import CompiledPipeline, deploy_pipeline
from airflow_sagemaker.cache_folder import cache_folder
from airflow_sagemaker.definition.source_files import digest_of_digests
from airflow_sagemaker.definition.trust import Distrusted, code_channels, require_deployed, require_own_code
from airflow_sagemaker.exceptions import CompileError, DeploymentError
from airflow_sagemaker.types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.config.base import BasePipelineConfig

FORMAT = 1
MISSED_SECONDS = 600.0
"""How long a host that has compiled a definition itself assumes that it is not published."""
COMMAND = "airflow-sagemaker publish CONFIG.yaml"


@dataclass(frozen=True)
class Subject:
    """Everything that determines a published definition, except for the versions of SDK and package."""

    parts: JsonObject
    sources: Mapping[str, str]
    """The files of source_dir: sha256 by relative path."""

    @classmethod
    def of(cls, config: BasePipelineConfig, sources: Mapping[str, str], modules: Mapping[str, str]) -> Subject:
        """`modules` are the reference modules: a digest by name."""
        request = config.compile_request()
        parameters = {name: value for name, value in request.items() if name != "config"}
        return cls(
            {
                "settings": config.static_settings(),
                "hyperparameters": _digest(parameters),
                "source_dir": digest_of_digests(sources),
                "modules": dict(modules),
            },
            sources,
        )

    @property
    def key(self) -> str:
        """The publication's name."""
        return _digest({"format": FORMAT, **self.parts})

    def differences(self, other: JsonMapping) -> list[str]:
        """Return the names of the parts in which another subject differs."""
        ours, theirs = self.parts, other
        settings = {*ours["settings"], *theirs.get("settings", {})}
        found = [name for name in settings if ours["settings"].get(name) != theirs.get("settings", {}).get(name)]
        found += [name for name in ("hyperparameters", "source_dir", "modules") if ours[name] != theirs.get(name)]
        return sorted(found)


class Publications:
    """Publications at s3://bucket/<pipeline name>/published/<key>.json for a pipeline that runs under `role_arn`."""

    def __init__(self, aws: Aws, bucket: str, pipeline_name: str, role_arn: str) -> None:
        self._aws = aws
        self._bucket = bucket
        self._pipeline_name = pipeline_name
        self._role_arn = role_arn
        self._miss = ""
        self._nothing_of: Subject | None = None

    @property
    def miss(self) -> str:
        """Why the last `find` found nothing, in one line; reads the latest publication to name what differs."""
        return self._miss + (self._nearest(self._nothing_of) if self._nothing_of is not None else "")

    def missed_lately(self, subject: Subject) -> bool:
        """Whether a `find` in any process of this machine found nothing in the last ten minutes."""
        try:
            return 0 <= time.time() - self._mark(subject).stat().st_mtime < MISSED_SECONDS
        except OSError:
            return False

    def _mark(self, subject: Subject) -> Path:
        place = [self._aws.target.key(), self._bucket, self._key(subject.key)]
        return cache_folder() / "unpublished" / _digest(place)[:32]

    def find(self, config: BasePipelineConfig, subject: Subject) -> CompiledPipeline | None:
        """Return the published definition of this configuration and its sources, or None.

        Raises CompileError for one in a format that this version does not know.
        """
        where = self.uri(subject)
        try:
            published = self._read(self._key(subject.key))
            if published is None:
                self._miss, self._nothing_of = f"no definition is published at {where}", subject
                with contextlib.suppress(OSError):  # without the mark, the next start makes one more call
                    mark = self._mark(subject)
                    mark.parent.mkdir(parents=True, exist_ok=True)
                    mark.touch()
                return None
            found = self._compiled(config, published)
            require_own_code(published["code"], subject.sources)
            require_deployed(self._aws, self._pipeline_name, self._role_arn, found.definition)
        except CompileError:
            raise
        except Distrusted as reason:
            self._miss = f"the definition published at {where} is not used, because {reason}"
            self._aws.log.warning("%s", self._miss)
            return None
        except Exception as error:
            self._miss = explain_error(error, f"looking for the definition published at {where}")
            self._aws.log.debug("%s", self._miss)
            return None
        self._aws.log.info(
            "Published definition %s from %s (airflow-sagemaker %s, sagemaker %s)",
            found.version_alias, published["published_at"], published["package"], published["sdk"].get("sagemaker"),
        )  # fmt: skip
        return found

    def is_published(self, subject: Subject, compiled: CompiledPipeline) -> bool:
        """Whether exactly this definition is published and deployed. Raises DeploymentError if AWS does not respond."""
        try:
            published = self._read(self._key(subject.key))
            if published is None or published.get("definition") != compiled.definition:
                return False
            require_deployed(self._aws, self._pipeline_name, self._role_arn, compiled.definition)
        except Distrusted:
            return False
        except Exception as error:
            if classify_error(error) is Fault.GONE:
                return False
            raise DeploymentError(
                explain_error(error, f"looking for the definition published at {self.uri(subject)}")
            ) from error
        return True

    def publish(self, subject: Subject, compiled: CompiledPipeline, versions: Mapping[str, str], package: str) -> None:
        """Upload the code, deploy the version, and then write the publication where `find` looks for it.

        Raises DeploymentError; calling it again completes what is missing.
        """
        code = code_channels(compiled.definition)["code"]
        files = {f"s3://{upload.bucket}/{upload.key}": upload.sha256 for upload in compiled.uploads}
        body = {
            "format": FORMAT,
            "published_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "package": package,
            "sdk": dict(versions),
            "subject": subject.parts,
            "code": {uri.removeprefix(f"{code}/"): sha for uri, sha in files.items() if uri.startswith(f"{code}/")},
            "definition": compiled.definition,
        }
        deploy_pipeline(self._aws, compiled)
        for key in (subject.key, "latest"):
            try:
                self._aws.call(
                    "s3", "put_object", Bucket=self._bucket, Key=self._key(key), Body=json.dumps(body).encode()
                )
            except Exception as error:
                where = f"s3://{self._bucket}/{self._key(key)}"
                raise DeploymentError(explain_error(error, f"writing the publication {where}")) from error

    def uri(self, subject: Subject) -> str:
        """Return where the publication is, or would be."""
        return f"s3://{self._bucket}/{self._key(subject.key)}"

    def _compiled(self, config: BasePipelineConfig, published: JsonMapping) -> CompiledPipeline:
        if published.get("format") != FORMAT:
            raise CompileError(
                f"pipeline {self._pipeline_name!r} was published in format {published.get('format')!r}, but this "
                f"version reads format {FORMAT}: install the airflow-sagemaker that published it, or run {COMMAND}"
            )
        definition = str(published["definition"])
        return CompiledPipeline(
            pipeline_name=self._pipeline_name,
            definition=definition,
            digest=hashlib.sha256(definition.encode()).hexdigest(),
            role_arn=self._role_arn,
            uploads=(),  # `publish` has uploaded them, and has set the pipeline's tags
            region=str(config.region),
        )

    def _nearest(self, subject: Subject) -> str:
        """Return how the latest publication differs, to explain why it was not found."""
        try:
            latest = self._read(self._key("latest"))
        except Exception:
            return ""
        if latest is None:
            return ""
        names = ", ".join(subject.differences(latest.get("subject", {})))
        return f"; the latest one of this pipeline, from {latest.get('published_at')}, differs in {names}"

    def _key(self, name: str) -> str:
        return f"{self._pipeline_name}/published/{name}.json"

    def _read(self, key: str) -> JsonObject | None:
        """Return an object's content, or None if it does not exist."""
        try:
            body = self._aws.call("s3", "get_object", Bucket=self._bucket, Key=key)["Body"].read()
        except Exception as error:
            if classify_error(error) is Fault.GONE:
                return None
            raise
        content: JsonObject = json.loads(body)
        return content


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
