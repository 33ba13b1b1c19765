"""Deploy a compiled definition: upload missing files, then create or update the pipeline with the definition's alias.

Before each start, `is_deployed` checks that the alias exists and still refers to this definition, so an unchanged
definition costs one call. Concurrent runs do not race: an alias is unique in a pipeline, so one run creates it, and the
others get a conflict and then find it.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.faults import Fault, classify_error, explain_error
from airflow_sagemaker.contract import version_alias
from airflow_sagemaker.exceptions import AliasMoved, DeploymentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.responses import ObjectHead, PipelineDescription, TagPage, VersionPage

ATTEMPTS = 6
"""Maximum attempts of a deployment; after each conflict, another run has made progress."""


@dataclass(frozen=True)
class Upload:
    """A local file that the definition refers to; it must be at s3://bucket/key before an execution starts."""

    path: str
    bucket: str
    key: str
    sha256: str
    size: int


@dataclass(frozen=True)
class CompiledPipeline:
    """A definition and its files. Equal configurations and sources have equal digests on all hosts."""

    pipeline_name: str
    definition: str
    digest: str
    role_arn: str
    uploads: tuple[Upload, ...]
    tags: dict[str, str] = field(default_factory=dict)
    region: str = ""

    @property
    def version_alias(self) -> str:
        """The alias of the pipeline version with this definition."""
        return version_alias(self.digest)


def deploy_pipeline(aws: Aws, compiled: CompiledPipeline) -> None:
    """Ensure that the pipeline has a version with the definition's alias, from this or another run.

    Raises DeploymentError with AWS's response.
    """
    upload_all(aws, compiled)
    for attempt in range(ATTEMPTS):
        if is_deployed(aws, compiled) or _update_pipeline(aws, compiled) or _create_pipeline(aws, compiled):
            return
        aws.stopped.wait(random.uniform(0.2, 1.0) * 2**attempt)  # noqa: S311 - jitter, no secret
    raise DeploymentError(
        f"pipeline {compiled.pipeline_name!r}: version {compiled.version_alias} was neither created by this run nor by "
        f"another after {ATTEMPTS} attempts; another process may be changing the pipeline continuously"
    )


def upload_all(aws: Aws, compiled: CompiledPipeline) -> None:
    """Upload the definition's files that S3 does not have yet."""
    new = [upload for upload in compiled.uploads if _upload_if_missing(aws, upload)]
    if new:
        places = sorted({f"s3://{upload.bucket}/{'/'.join(upload.key.split('/')[:3])}/" for upload in new})
        size = sum(upload.size for upload in new) / 1000
        files = "1 file" if len(new) == 1 else f"{len(new)} files"
        aws.log.info("Uploaded %s, %.0f kB, below %s", files, size, " and ".join(places))


def _upload_if_missing(aws: Aws, upload: Upload) -> bool:
    """Upload a file if it is missing; return whether it was. Keys contain the digest, so only the size is compared."""
    where = f"s3://{upload.bucket}/{upload.key}"
    try:
        head: ObjectHead = aws.call("s3", "head_object", Bucket=upload.bucket, Key=upload.key)
    except Exception as error:
        if classify_error(error) is not Fault.GONE:
            raise DeploymentError(explain_error(error, f"looking for {where}")) from error
    else:
        if head.get("ContentLength") == upload.size:
            return False
    try:
        aws.call("s3", "put_object", Bucket=upload.bucket, Key=upload.key, Body=Path(upload.path).read_bytes())
    except Exception as error:
        raise DeploymentError(explain_error(error, f"uploading {where}")) from error
    aws.log.debug("Uploaded %s (%d bytes)", where, upload.size)
    return True


def is_deployed(aws: Aws, compiled: CompiledPipeline) -> bool:
    """Whether the pipeline has a version with the definition's alias; if so, also updates its tags.

    Raises AliasMoved if that version has another definition, and DeploymentError if AWS does not respond. If the role
    may not describe the pipeline, returns True with a warning: the start fails if the alias does not exist.
    """
    name, alias = compiled.pipeline_name, compiled.version_alias
    try:
        found: PipelineDescription = aws.call(
            "sagemaker", "describe_pipeline", PipelineName=name, PipelineVersionAlias=alias
        )
    except Exception as error:
        fault = classify_error(error)
        if fault is Fault.GONE:
            return False
        if fault is Fault.DENIED:
            aws.log.warning(
                "Could not verify that version %s of pipeline %s still has this definition: the role lacks "
                "sagemaker:DescribePipeline", alias, name,
            )  # fmt: skip
            return True
        raise DeploymentError(explain_error(error, f"describing pipeline {name!r}")) from error
    if not _is_same(found["PipelineDefinition"], compiled.definition):
        raise AliasMoved(
            f"alias {alias} of pipeline {name!r} refers to a version with another definition, last modified at "
            f"{found.get('LastModifiedTime')}: it was moved. Move it back or remove it "
            "(UpdatePipelineVersion); the next start recreates a missing alias"
        )
    _follow_tags(aws, found["PipelineArn"], compiled.tags)
    return True


def _is_same(one: str, other: str) -> bool:
    return one == other or bool(json.loads(one) == json.loads(other))


def _follow_tags(aws: Aws, pipeline_arn: str, tags: dict[str, str]) -> None:
    """Add the configuration's tags to the pipeline and keep all others; errors are only logged."""
    if not tags:
        return
    try:
        pages: Iterator[TagPage] = aws.pages("sagemaker", "list_tags", ResourceArn=pipeline_arn, MaxResults=100)
        found = {tag["Key"]: tag["Value"] for page in pages for tag in page.get("Tags", [])}
        changed = {key: value for key, value in tags.items() if found.get(key) != value}
        if changed:
            aws.call("sagemaker", "add_tags", ResourceArn=pipeline_arn, Tags=_as_tags(changed))
            aws.log.info("Tags of %s now: %s", pipeline_arn, ", ".join(f"{k}={v}" for k, v in sorted(changed.items())))
    except Exception as error:
        aws.log.warning("%s", explain_error(error, f"updating the tags of {pipeline_arn}"))


def _as_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _update_pipeline(aws: Aws, compiled: CompiledPipeline) -> bool:
    """Update the pipeline; return whether it now has the alias. False means: check again."""
    try:
        reply = aws.call(
            "sagemaker", "update_pipeline",
            PipelineName=compiled.pipeline_name, PipelineDefinition=compiled.definition, RoleArn=compiled.role_arn,
            PipelineVersionAliases=[compiled.version_alias],
        )  # fmt: skip
    except Exception as error:
        fault = classify_error(error)
        if fault in {Fault.GONE, Fault.CONFLICT}:
            return False
        # An update takes aliases only when it changes the definition: another run may have just made this version (and
        # a third one a later version of another definition since), or its alias may have been removed by hand.
        if fault is Fault.REFUSED and (_name_latest_version(aws, compiled) or is_deployed(aws, compiled)):
            return True
        raise DeploymentError(explain_error(error, f"updating pipeline {compiled.pipeline_name!r}")) from error
    aws.log.info("Pipeline %s: version %s deployed", compiled.pipeline_name, compiled.version_alias)
    _follow_tags(aws, reply["PipelineArn"], compiled.tags)
    return True


def _name_latest_version(aws: Aws, compiled: CompiledPipeline) -> bool:
    """Add the alias to the latest version if that has exactly our definition; return whether it has the alias."""
    name = compiled.pipeline_name
    page: VersionPage = aws.call(
        "sagemaker", "list_pipeline_versions", PipelineName=name, SortOrder="Descending", MaxResults=1
    )
    latest = page["PipelineVersionSummaries"][0]
    if compiled.version_alias in latest.get("PipelineVersionAliases", ()):
        return True
    version = latest["PipelineVersionId"]
    described: PipelineDescription = aws.call(
        "sagemaker", "describe_pipeline", PipelineName=name, PipelineVersionId=version
    )
    if not _is_same(described["PipelineDefinition"], compiled.definition):
        return False
    try:
        aws.call(
            "sagemaker", "update_pipeline_version",
            PipelineArn=described["PipelineArn"], PipelineVersionId=version,
            PipelineVersionAliasOperations={"Add": [compiled.version_alias]},
        )  # fmt: skip
    except Exception as error:
        if classify_error(error) is not Fault.CONFLICT:
            raise DeploymentError(
                explain_error(error, f"adding alias {compiled.version_alias} to version {version}")
            ) from error
        return is_deployed(aws, compiled)
    aws.log.info("Pipeline %s: version %s has alias %s again", name, version, compiled.version_alias)
    return True


def _create_pipeline(aws: Aws, compiled: CompiledPipeline) -> bool:
    """Create the pipeline; return False if it exists by now."""
    try:
        aws.call(
            "sagemaker", "create_pipeline",
            PipelineName=compiled.pipeline_name, PipelineDefinition=compiled.definition, RoleArn=compiled.role_arn,
            Tags=_as_tags(compiled.tags),
            PipelineVersionAliases=[compiled.version_alias],
        )  # fmt: skip
    except Exception as error:
        if classify_error(error) is Fault.CONFLICT:
            return False
        raise DeploymentError(explain_error(error, f"creating pipeline {compiled.pipeline_name!r}")) from error
    aws.log.info("Pipeline %s created, version %s", compiled.pipeline_name, compiled.version_alias)
    return True
