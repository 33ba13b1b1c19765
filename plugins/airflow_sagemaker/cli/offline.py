"""`validate` and `compile`: commands that call no AWS."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from airflow_sagemaker.cli.output import Output
from airflow_sagemaker.config.base import BasePipelineConfig
from airflow_sagemaker.config.kinds import class_of
from airflow_sagemaker.config.yaml_files import file_label, read_yaml
from airflow_sagemaker.contract import XCom
from airflow_sagemaker.exceptions import ConfigurationError, Violation
from airflow_sagemaker.types import JsonObject


def read_configuration(arguments: argparse.Namespace) -> BasePipelineConfig:
    """Return the file's configuration with the command line's partition and parameters, region from the environment.

    Raises ConfigurationError with all violations.
    """
    content = read_yaml(arguments.config)
    for text in arguments.params:
        apply_override(content, text)
    if arguments.partition is not None:  # an empty one, from an unset variable, must not train today's partition
        content["partition"] = arguments.partition
    try:
        config = class_of(content).from_dict(content)
    except ConfigurationError as error:
        changed = " with the command line's changes" if arguments.params or arguments.partition is not None else ""
        raise ConfigurationError(error.violations, what=file_label(arguments.config) + changed) from None
    return config.completed(
        bucket=getattr(arguments, "bucket", None),
        role_arn=getattr(arguments, "role_arn", None),
        region=getattr(arguments, "region", None)
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION"),
    )


def apply_override(content: JsonObject, text: str) -> None:
    """Apply `name=value`: a setting, the name of a hyperparameter, or a dotted path. The value is YAML."""
    import yaml

    name, equals, value = text.partition("=")
    path = name.strip().split(".")
    if not equals or not all(path):
        raise ConfigurationError([Violation("--param", text, "must be name=value")], what="command line")
    if len(path) == 1:
        path = class_of(content).setting_path(content, path[0])
    target = content
    for part in path[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise ConfigurationError(
                [Violation("--param", text, f"{part} is not a group of settings")], what="command line"
            )
    try:
        target[path[-1]] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigurationError(
            [Violation("--param", text, f"is not valid YAML: {error}")], what="command line"
        ) from None


def validate(arguments: argparse.Namespace, output: Output, data_checks: list[JsonObject] | None = None) -> int:
    """Check everything that needs no network; `data_checks` are the findings about the data."""
    for option, given in (("--against", arguments.against), ("--limit", arguments.limits)):
        if given and data_checks is None:
            raise ConfigurationError([Violation(option, given, "needs --data")], what="command line")
    config = read_configuration(arguments)
    problems = config.source_violations()
    if problems:
        raise ConfigurationError(problems, what=file_label(arguments.config))
    missing = [name for name in ("role_arn", "region", *config.input_fields) if getattr(config, name) is None]
    text = f"{arguments.config} is valid: pipeline {config.pipeline_name}, partition {config.partition}"
    if data_checks is not None:
        text += f"\n{len(data_checks)} data checks passed"
    if missing:
        text += f"\nnot set here, expected from the environment or the Airflow connection: {', '.join(missing)}"
    warnings = config.warnings()
    for warning in warnings:
        output.note(f"warning: {warning}", "warning")
    data = {"ok": True, "pipeline_name": config.pipeline_name, "config": config.to_dict(), "missing": missing}
    if data_checks is not None:
        data[XCom.DATA_CHECKS.value] = data_checks
    output.result({**data, "warnings": warnings}, text)
    return 0


def compile_(arguments: argparse.Namespace, output: Output) -> int:
    """Print or write the definition."""
    from airflow_sagemaker.definition.compiler import compile_pipeline

    compiled = compile_pipeline(read_configuration(arguments), sdk_python=arguments.sdk_python)
    if arguments.output:
        _write_definition(arguments.output, compiled.definition)
    data = {
        "ok": True,
        "pipeline_name": compiled.pipeline_name,
        "digest": compiled.digest,
        "version_alias": compiled.version_alias,
        "definition": compiled.definition,
        "uploads": [{"bucket": u.bucket, "key": u.key, "path": u.path, "size": u.size} for u in compiled.uploads],
    }
    note = (
        f"pipeline {compiled.pipeline_name}, version {compiled.version_alias}, {len(compiled.uploads)} files to upload"
    )
    output.note(note)
    output.result(data, "" if arguments.output else compiled.definition)
    return 0


def _write_definition(path: str, definition: str) -> None:
    try:
        Path(path).write_text(definition, encoding="utf-8")
    except OSError as error:
        problem = Violation("--output", path, f"cannot be written: {error.strerror}")
        raise ConfigurationError([problem], what="command line") from None
