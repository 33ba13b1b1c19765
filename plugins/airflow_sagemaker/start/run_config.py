"""The configuration of one run: rendered, completed from run and connection, and validated."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.exceptions import ConfigurationError, Violation

if TYPE_CHECKING:
    from airflow.sdk import DAG, Context

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.config.base import BasePipelineConfig
    from airflow_sagemaker.types import JsonObject

_ZONE = "dag.timetable.timezone if dag.timetable.timezone is defined else dag.timezone"
RUN_PARTITION = (
    "{% set zone = " + _ZONE + " %}"
    "{{ dag_run.partition_key or (dag_run.logical_date or dag_run.run_after)"
    ".astimezone(macros.dateutil.tz.gettz(zone) if zone is string else zone) | ds }}"
)
"""Template of a run's partition, for scheduled, manual and backfill runs; without a partition key, the timetable's
date.

`ds` is undefined in partitioned runs, and the date in UTC in all others (apache/airflow #67537).
"""


def plain_config(config: object) -> Any:
    """Return a configuration object as plain data, whose templates can be rendered, and which can be serialised.

    Anything else is returned unchanged, and checked when the task runs.
    """
    to_dict = getattr(config, "to_dict", None)
    if callable(to_dict):
        return to_dict()
    return os.fspath(config) if isinstance(config, os.PathLike) else config


def given_data(config: object, context: Context, render: Callable[[JsonObject, Context], JsonObject]) -> JsonObject:
    """Return the configuration as plain data; renders a file's templates (Airflow renders those of a dict)."""
    if isinstance(config, Mapping):
        return dict(config)
    from airflow_sagemaker.config.yaml_files import read_yaml

    if not isinstance(config, (str, os.PathLike)):
        raise ConfigurationError([Violation("config", config, "must be a configuration, a mapping or a YAML file")])
    return read_yaml(_file_beside(config, context.get("dag")), lambda content: render(content, context))


def check_when_parsed(config: object, dag: DAG | None) -> None:
    """Raise ConfigurationError for errors in a configuration file that no template can fix, when the DAG file is
    parsed.

    A file that does not exist yet, or whose path is a template, is checked by the task.
    """
    if not isinstance(config, str):
        return
    path = _file_beside(config, dag)
    if not path.is_file():
        return
    from airflow_sagemaker.config.yaml_files import file_label, read_yaml

    check_settings_when_parsed(read_yaml(path), file_label(path))


def check_settings_when_parsed(settings: JsonObject, what: str = "configuration") -> None:
    """Refuse settings with errors that no template can fix. Raises ConfigurationError."""
    from airflow_sagemaker.config.kinds import class_of

    fields = {name: value for name, value in settings.items() if name != "kind"}  # which chooses the class
    violations = class_of(settings).unrendered_violations(fields)
    if violations:
        raise ConfigurationError(violations, what=what)


def _file_beside(config: str | os.PathLike[str], dag: DAG | None) -> Path:
    """Return the path of a configuration file; a relative one is relative to the DAG file."""
    path = Path(config)
    return path if path.is_absolute() or dag is None or not dag.fileloc else Path(dag.fileloc).parent / path


def build_config(
    given: JsonObject,
    context: Context,
    *,
    partition: object,
    partition_is_given: bool,
    aws_conn_id: str | None,
    region_name: str | None,
) -> BasePipelineConfig:
    """Return the validated configuration of this run; omitted settings come from the run and the connection.

    `partition_is_given`: `partition` is not the default. Raises ConfigurationError with all violations.
    """
    from airflow_sagemaker.aws.connections import connection_defaults
    from airflow_sagemaker.config.kinds import class_of

    key = _checked_partition(partition)
    _refuse_two_partitions(given, context, key if partition_is_given else None)
    defaults = connection_defaults(aws_conn_id)
    region = region_name or defaults.region or given.get("region") or defaults.region_of_boto3()
    config = class_of(given).from_dict(given).completed(
        bucket=defaults.bucket, role_arn=defaults.role_arn, region=region, partition=key
    )  # fmt: skip
    config.require(["bucket", "role_arn", "region"] if config.code_bucket is None else ["role_arn", "region"])
    violations = [*config.source_violations(), *_partition_violations(context, config)]
    if violations:
        raise ConfigurationError(violations)
    return config


def resolve_config(config: BasePipelineConfig, aws: Aws) -> BasePipelineConfig:
    """Return the configuration with values from AWS (the champion). Raises ConfigurationError and ExecutionError."""
    from airflow_sagemaker.aws.model_registry import ModelRegistry

    return config.resolved(lambda group: ModelRegistry(aws, group))


def require_cost(config: BasePipelineConfig, limit: float) -> None:
    """Raise ConfigurationError unless a run costs at most `limit`, by the prices in airflow.cfg."""
    from airflow.sdk.configuration import conf

    from airflow_sagemaker.start.prices import CURRENCY_OPTION, OPTION, SECTION, Prices

    try:
        prices = Prices.parse(conf.get(SECTION, OPTION, fallback=""), conf.get(SECTION, CURRENCY_OPTION, fallback=""))
        amount = prices.most(config.compute())
    except ValueError as error:
        raise ConfigurationError([Violation(OPTION, "(airflow.cfg)", str(error))], what="prices") from None
    except KeyError:
        amount = None
    if amount is None or amount > limit:
        rule = f"cannot be guaranteed: {prices.text(config.compute())}"
        hint = "use a cheaper instance or a shorter max_runtime_seconds, or raise max_cost"
        raise ConfigurationError([Violation("max_cost", limit, rule, hint if amount is not None else "set the price")])


def run_parameters(config: BasePipelineConfig, run_key: str | None, *, test: bool) -> dict[str, str]:
    """Return the parameters of this run; a test has the same definition with other values: one instance, few rows."""
    return (config.for_test() if test else config).pipeline_parameters(run_key=run_key)


def _checked_partition(partition: object) -> str:
    key = str(partition).strip() if partition is not None else ""
    if key in {"", "None"} or "{{" in key:
        hint = f"the default is {RUN_PARTITION}"
        raise ConfigurationError([Violation("partition", partition, "must be a date or key when rendered", hint)])
    return key


def _refuse_two_partitions(given: JsonObject, context: Context, ours: str | None) -> None:
    """Require that the configuration's partition is that of the operator, and of a partitioned run."""
    theirs = str(given.get("partition") or "").strip()
    key = getattr(context.get("dag_run"), "partition_key", None)
    other, whose = (ours, "the operator's partition") if ours is not None else (key, "the run's partition key")
    if theirs and other is not None and theirs != other:
        hint = "remove it from the configuration"
        raise ConfigurationError([Violation("config.partition", theirs, f"disagrees with {whose}, {other!r}", hint)])


def _partition_violations(context: Context, config: BasePipelineConfig) -> list[Violation]:
    """Require that explicit output and checkpoint paths of a partitioned run contain the partition."""
    violations = []
    partitioned = getattr(context.get("dag_run"), "partition_key", None)
    for name in (*config.input_fields, *config.output_fields):
        path = getattr(config, name)
        if name not in config.model_fields_set or path is None:
            continue
        holds = config.partition in path or config.partition_folder in path
        if "None" in path.split("/"):
            violations.append(Violation(name, path, "contains 'None': a template rendered to nothing"))
        elif partitioned and name in config.output_fields and not holds:
            hint = (
                "put {{ macros.airflow_sagemaker.partition_folder(dag_run.partition_key) }} into the path, or leave it "
                "out to have it generated"
            )
            violations.append(Violation(name, path, f"must contain the run's partition {config.partition!r}", hint))
    return violations
