"""`publish`: compile where the SageMaker SDK is installed, so that an Airflow without it can start the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sagemaker import __version__
from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.cli.dag_folder import find_configurations
from airflow_sagemaker.cli.online import EnvironmentTarget
from airflow_sagemaker.definition.child_process import default_python
from airflow_sagemaker.definition.compiler import compile_pipeline, subject_of
from airflow_sagemaker.definition.disk_cache import sdk_versions
from airflow_sagemaker.definition.published import Publications
from airflow_sagemaker.types import JsonObject

if TYPE_CHECKING:
    import argparse

    from airflow_sagemaker.cli.dag_folder import Found
    from airflow_sagemaker.cli.output import Output

WOULD_CHANGE = 1


def publish(arguments: argparse.Namespace, output: Output) -> int:
    """Publish each configuration; publishing it again changes nothing and says so."""
    results = [_publish_one(found, arguments, output) for found in find_configurations(arguments)]
    changed = [result for result in results if result["changed"]]
    lines = [_line(result, check=arguments.check) for result in results]
    output.result({"ok": not (arguments.check and changed), "published": results}, "\n".join(lines))
    return WOULD_CHANGE if arguments.check and changed else 0


def _publish_one(found: Found, arguments: argparse.Namespace, output: Output) -> JsonObject:
    config = found.config
    compiled = compile_pipeline(config, sdk_python=arguments.sdk_python)
    subject = subject_of(config)
    aws = Aws(EnvironmentTarget(aws_conn_id=None, region_name=config.region), output, patience=arguments.patience)
    publications = Publications(aws, str(config.code_bucket), config.pipeline_name, str(config.role_arn))
    changed = not publications.is_published(subject, compiled)
    if changed and not arguments.check:
        versions = dict(sdk_versions(arguments.sdk_python or default_python()))
        publications.publish(subject, compiled, versions, __version__)
    return {
        "where": found.where,
        "pipeline_name": compiled.pipeline_name,
        "version_alias": compiled.version_alias,
        "uri": publications.uri(subject),
        "changed": changed,
    }


def _line(result: JsonObject, *, check: bool) -> str:
    said = "already published" if not result["changed"] else "would be published" if check else "published"
    return f"{result['where']}: pipeline {result['pipeline_name']}, version {result['version_alias']}: {said}"
