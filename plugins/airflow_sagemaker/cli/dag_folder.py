"""The configurations of a file, or of all DAGs in a folder, as far as they determine a definition."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from airflow_sagemaker import airflow_compat
from airflow_sagemaker.cli.offline import apply_override
from airflow_sagemaker.config.base import BasePipelineConfig
from airflow_sagemaker.config.kinds import class_of
from airflow_sagemaker.config.strict_model import holds_template, is_template
from airflow_sagemaker.config.yaml_files import file_label, read_yaml
from airflow_sagemaker.exceptions import ConfigurationError, Violation
from airflow_sagemaker.types import JsonMapping, JsonObject

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow.sdk import DAG, BaseOperator
    from airflow.sdk.definitions.mappedoperator import MappedOperator

_OPERATOR = "SageMakerTrainingPipelineOperator"


@dataclass(frozen=True)
class Found:
    """One configuration and where it was found."""

    config: BasePipelineConfig
    where: str


def find_configurations(arguments: argparse.Namespace) -> list[Found]:
    """Return the configurations in `arguments.source`: a configuration file, or a folder with DAGs.

    DAG files are imported, as Airflow's dag-processor does. If Airflow is not installed, the YAML files in the folder
    that contain hyperparameters are used. Raises ConfigurationError, also if there are none.
    """
    source = Path(arguments.source)
    if not source.is_dir():
        return [_check_found(read_yaml(source), file_label(source), arguments)]
    by_dags = find_spec("airflow") is not None
    found = list(_of_dags(source, arguments) if by_dags else _of_yaml_files(source, arguments))
    if not found:
        rule = f"contains no DAG with a {_OPERATOR} task" if by_dags else "contains no YAML file with hyperparameters"
        hint = "" if by_dags else "Airflow is not installed here, so DAG files were not checked"
        raise ConfigurationError([Violation("SOURCE", str(source), rule, hint)], what="command line")
    return found


def _of_yaml_files(folder: Path, arguments: argparse.Namespace) -> Iterator[Found]:
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        try:
            content = read_yaml(path)
        except ConfigurationError:
            continue  # something else's YAML
        if isinstance(content.get("hyperparameters"), Mapping):
            yield _check_found(content, file_label(path), arguments)


def _of_dags(folder: Path, arguments: argparse.Namespace) -> Iterator[Found]:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder.resolve()))
    with redirect_stdout(sys.stderr):  # standard output is for results, and Airflow logs there
        bag = airflow_compat.import_dag_bag()(str(folder.resolve()), bundle_name="publish", load_op_links=False)
    if bag.import_errors:
        problems = [
            Violation("DAG file", path, text.strip().splitlines()[-1])
            for path, text in sorted(bag.import_errors.items())
        ]
        raise ConfigurationError(problems, what=f"DAG folder {folder}")
    for dag_id, dag in sorted(bag.dags.items()):
        for task in dag.tasks:
            given = _arguments_of(task)
            if given is None:
                continue
            where = f"task {dag_id}.{task.task_id}"
            if "config" not in given:
                rule = "is mapped over configurations, which are only known at run time"
                raise ConfigurationError(
                    [Violation("config", where, rule, "publish the configuration files instead")], what=where
                )
            yield _check_found(_config_data(given["config"], dag), where, arguments, given.get("dependencies") or ())


def _arguments_of(task: BaseOperator | MappedOperator) -> JsonObject | None:
    """Return `config` and `dependencies` of an operator of this package, None for any other task."""
    mapped = cast("MappedOperator", task) if getattr(task, "is_mapped", False) else None
    kind = mapped.operator_class if mapped is not None else type(task)
    if not isinstance(kind, type) or _OPERATOR not in {base.__name__ for base in kind.__mro__}:
        return None
    if mapped is not None:
        return dict(mapped.partial_kwargs)
    return {name: getattr(task, name) for name in ("config", "dependencies")}


def _config_data(config: JsonMapping | BasePipelineConfig | str, dag: DAG) -> JsonObject:
    if isinstance(config, Mapping):
        return dict(config)
    if isinstance(config, BasePipelineConfig):
        return config.to_dict()
    return read_yaml(Path(dag.fileloc).parent / Path(config))


def _check_found(
    content: JsonMapping, where: str, arguments: argparse.Namespace, dependencies: Sequence[str] = ()
) -> Found:
    # values of a run do not matter, except an output path, which determines the bucket of the code
    kind = class_of(content)
    data = {name: value for name, value in content.items() if name not in kind.run_fields or not holds_template(value)}
    for text in arguments.params:
        apply_override(data, text)
    given = data.get("hyperparameters")
    if isinstance(given, Mapping):  # only the name of a scalar is part of the definition, not its rendered value
        data["hyperparameters"] = {name: value for name, value in given.items() if not is_template(value)}
    templates = [
        Violation(name, value, "is part of the definition and must not contain a template", "set a fixed value")
        for name, value in data.items()
        if holds_template(value)
    ]
    if templates:
        raise ConfigurationError(templates, what=where)
    try:
        config = kind.from_dict(data)
    except ConfigurationError as error:
        raise ConfigurationError(error.violations, what=where) from None
    config = config.completed(bucket=arguments.bucket, role_arn=arguments.role_arn, region=arguments.region)
    if dependencies:
        config = config.updated(dependencies=(*config.dependencies, *dependencies))
    return Found(config, where)
