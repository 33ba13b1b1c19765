"""The rules of all kinds of pipelines: values that the service or the SDK would reject later.

A rule yields `Violation`s for values of a valid type. Strings with Airflow templates are checked after rendering. The
source is botocore's model of CreatePipeline and StartPipelineExecution unless a rule names another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from airflow_sagemaker.config import container_images as images
from airflow_sagemaker.config.partition_keys import partition_problem
from airflow_sagemaker.config.request_shapes import SEPARATORS
from airflow_sagemaker.config.s3_uris import bucket_problem
from airflow_sagemaker.config.strict_model import Rule, is_template, reads_fields
from airflow_sagemaker.exceptions import Violation

_PIPELINE_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}")
_ROLE = re.compile(r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
_TAG_TEXT = re.compile(rf"([\w{SEPARATORS}_.:/=+\-@]*)")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class CommonFields(Protocol):
    """The fields that the rules below read."""

    bucket: str | None
    region: str | None
    partition: str
    framework_version: str
    py_version: str | None
    tags: dict[str, str]


def text_rule(field: str, pattern: re.Pattern[str], rule: str, hint: str = "") -> Rule:
    """Return a rule that a string field, or each string in it, fully matches a pattern."""

    @reads_fields(field)
    def check(seen: object) -> Iterator[Violation]:
        value = getattr(seen, field)
        for text in [value] if isinstance(value, str) else value or ():
            if not is_template(text) and not pattern.fullmatch(text):
                yield Violation(field, text, rule, hint)

    return check


@reads_fields("bucket")
def _bucket_name(seen: CommonFields) -> Iterator[Violation]:
    if seen.bucket is not None and not is_template(seen.bucket):
        problem = bucket_problem(seen.bucket)
        if problem:
            yield Violation("bucket", seen.bucket, problem)


@reads_fields("partition")
def _partition_key(seen: CommonFields) -> Iterator[Violation]:
    problem = "" if is_template(seen.partition) else partition_problem(seen.partition)
    if problem:
        yield Violation("partition", seen.partition, problem)


@reads_fields("framework_version", "py_version")
def _image_versions(seen: CommonFields) -> Iterator[Violation]:
    if getattr(seen, "training_image", None):
        return
    problem = images.version_problem(seen.framework_version, seen.py_version)
    if problem is not None:
        name, rule = problem
        yield Violation(name, getattr(seen, name), rule)
    elif seen.region is not None and _REGION.fullmatch(seen.region):
        rule = images.region_problem(seen.region, seen.framework_version)
        if rule:
            yield Violation("region", seen.region, rule, "or name an image by training_image")


@reads_fields("tags")
def _tag_limits(seen: CommonFields) -> Iterator[Violation]:
    if len(seen.tags) > 50:
        yield Violation("tags", len(seen.tags), "must have at most 50 tags")
    for key, value in seen.tags.items():
        name = f"tags.{key}"
        if not 1 <= len(key) <= 128 or not _TAG_TEXT.fullmatch(key):
            yield Violation(name, key, "a tag key must have 1 to 128 letters, digits, spaces or _.:/=+-@")
        if key.lower().startswith("aws:"):
            yield Violation(name, key, "must not start with aws:, which is reserved")
        if len(value) > 256 or not (is_template(value) or _TAG_TEXT.fullmatch(value)):
            yield Violation(name, value, "a tag value must have at most 256 letters, digits, spaces or _.:/=+-@")


BASE: tuple[Rule, ...] = (
    _bucket_name,
    text_rule(
        "pipeline_name",
        _PIPELINE_NAME,
        "must have 1 to 256 letters, digits and hyphens, and not start or end with a hyphen",
    ),
    text_rule("region", _REGION, "must be a region name such as eu-central-1"),
    text_rule("role_arn", _ROLE, "must be a role ARN such as arn:aws:iam::123456789012:role/Name"),
    text_rule("job_role_arn", _ROLE, "must be a role ARN such as arn:aws:iam::123456789012:role/Name"),
    _partition_key,
    _image_versions,
    _tag_limits,
    text_rule("dependencies", _REFERENCE, "must be a reference such as my_package.my_module:my_function"),
    text_rule("followups", _REFERENCE, "must be a reference such as my_package.my_module:my_function"),
)
