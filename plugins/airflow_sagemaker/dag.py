"""A complete DAG, or a task group, from a training configuration.

    (preprocess ->) check_data -> start_training -> wait_for_training -> report (-> promote)

Each task is created by an argument of its name: a class or function that is called with the task's settings. Pass
another one to replace the task (`functools.partial` changes single settings), or None to omit it.
"""

from __future__ import annotations

from airflow_sagemaker import airflow_compat  # noqa: F401 - rejects an old Airflow

# isort: split
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow.sdk import DAG, Asset, TaskGroup, XComArg, task

from airflow_sagemaker.check_operator import SageMakerTableCheckOperator
from airflow_sagemaker.config.base import BasePipelineConfig
from airflow_sagemaker.config.yaml_files import read_yaml
from airflow_sagemaker.contract import VALIDATION_AUC, XCom, report_problem
from airflow_sagemaker.exceptions import ConfigurationError, Violation
from airflow_sagemaker.form import FORM, training_params, with_params
from airflow_sagemaker.operators import SageMakerTrainingPipelineOperator
from airflow_sagemaker.promotion import SageMakerPromoteModelOperator
from airflow_sagemaker.schedules import partition_timetable
from airflow_sagemaker.sensors import SageMakerTrainingPipelineSensor
from airflow_sagemaker.start.run_config import (
    RUN_PARTITION,
    check_settings_when_parsed,
    check_when_parsed,
    plain_config,
)
from airflow_sagemaker.types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier

Configuration: TypeAlias = BasePipelineConfig | JsonMapping | str | os.PathLike[str]
"""A configuration, the same as a mapping, or the path of a YAML file."""
MakeTask = Callable[..., Any]
"""A class of operators, or a function with the decorator `@task`."""
_PARTITION_FOLDER = (
    "{% set key %}" + RUN_PARTITION + "{% endset %}{{ macros.airflow_sagemaker.partition_folder(key | string) }}"
)


@task(task_id="report")
def report_outcome(partition: str, outcome: JsonObject) -> JsonObject:
    """Log and return the model's metrics, next to those of a constant predictor, its test scores and its S3 URI."""
    return summarise(partition, outcome, logging.getLogger("airflow.task"))


def summarise(partition: str, outcome: JsonMapping, log: logging.Logger) -> JsonObject:
    """Log an outcome as a table, and return it as JSON."""
    found = outcome.get("report") or {}
    problem = report_problem(found)
    if problem:
        log.warning("%s", problem)
        found = {}
    baseline = found.get("baseline") or {}
    metrics = {
        name: {"model": value, "constant": baseline.get(name)} for name, value in sorted(outcome["metrics"].items())
    }
    rows = (found.get("data") or {}).get("rows")
    log.info("partition %s: rows %s", partition, rows)
    log.info("%-22s%10s%10s", "metric", "model", "constant")
    for name, pair in metrics.items():
        constant = "-" if pair["constant"] is None else f"{pair['constant']:.4f}"
        log.info("%-22s%10.4f%10s", name, pair["model"], constant)
    for name, value in (found.get("test") or {}).items():
        log.info("%-22s%10.4f%10s", f"Test {name}", value, "-")
    log.info("model: %s", outcome["model_artifact"])
    return {
        "partition": partition,
        "rows": rows,
        "metrics": metrics,
        "test": found.get("test"),
        "model_artifact": outcome["model_artifact"],
        "billable_seconds": outcome["billable_seconds"],
    }


@dataclass(frozen=True)
class TrainingTasks:
    """The tasks of DAG and task group; the fields are the arguments of `SageMakerTrainingTaskGroup`."""

    preprocess: MakeTask | None = None
    check: MakeTask | None = SageMakerTableCheckOperator
    start: MakeTask = SageMakerTrainingPipelineOperator
    wait: MakeTask | None = SageMakerTrainingPipelineSensor
    report: MakeTask | None = field(default_factory=lambda: report_outcome)
    promote: MakeTask | str | None = None
    model: Asset | None = None
    partition: str = RUN_PARTITION
    form: Sequence[str] = ()
    aws_conn_id: str | None = "aws_default"
    max_concurrent_executions: int | None = None
    pool: str | None = None
    retries: int = 3
    retry_delay: timedelta = timedelta(seconds=30)
    notifiers: BaseNotifier | Sequence[BaseNotifier] = ()
    thresholds: Mapping[str, Mapping[str, float]] | None = None
    start_args: JsonMapping = field(default_factory=dict)
    wait_args: JsonMapping = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("preprocess", "check", "start", "wait", "report", "promote"):
            made_by = getattr(self, name)
            is_group = name == "promote" and isinstance(made_by, str)
            if not (callable(made_by) or is_group or (made_by is None and name != "start")):
                rule = "must be a class of operators or a function that makes the task"
                hint = "a model package group may be named, too" if name == "promote" else ""
                raise ConfigurationError([Violation(name, made_by, rule, hint)], what="tasks")

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the fields."""
        return [one.name for one in fields(cls)]

    @property
    def task_settings(self) -> JsonObject:
        """Return the settings of all tasks; as default_args they also apply to tasks that a user's function creates."""
        settings: JsonObject = {"retries": self.retries, "retry_delay": self.retry_delay}
        return settings | ({"pool": self.pool} if self.pool else {})

    def add(self, config: Configuration, settings: JsonMapping) -> None:
        """Add the tasks, in order, to the group or DAG of the current context."""
        given = with_params(settings, self.form) if self.form else plain_config(config)
        common = {"aws_conn_id": self.aws_conn_id, **self.task_settings}
        of_run = {"config": given, "partition": self.partition, **common}
        chain: list[Any] = []
        if self.preprocess is not None:
            chain.append(self.preprocess(**_input_place(settings, self.aws_conn_id), partition=self.partition))
        made_by_steps = settings.get("dependencies") or self.start_args.get("dependencies")
        if self.check is not None and not made_by_steps:
            chain.append(self.check(task_id="check_data", **of_run))
        *tasks, outcome = self._training(of_run, common)
        chain += tasks
        if self.report is not None:
            chain.append(self.report(partition=self.partition, outcome=outcome))
        if self.promote is not None:
            make = promotion_to(self.promote) if isinstance(self.promote, str) else self.promote
            chain.append(make(task_id="promote", outcome=outcome, partition=self.partition, **common))
        for before, after in pairwise(chain):
            before >> after

    def _training(self, of_run: JsonMapping, common: JsonMapping) -> list[Any]:
        """Return the tasks that start and wait, and the outcome."""
        outlets = [self.model] if self.model else []
        limit = {"max_concurrent_executions": self.max_concurrent_executions}
        watch = {"notifiers": self.notifiers, "thresholds": self.thresholds}
        if self.wait is None:
            alone = {"deferrable": True, "outlets": outlets, **_given(watch), **self.start_args}
            started = self.start(task_id="start_training", **of_run, **limit, **alone)
            return [started, started.output[XCom.OUTCOME.value]]
        started = self.start(task_id="start_training", **of_run, **limit, **self.start_args)
        waiting = {"execution_arn": started.output, "progress": "logs", "outlets": outlets, **_given(watch)}
        waited = self.wait(task_id="wait_for_training", **common, **{**waiting, **self.wait_args})
        return [started, waited, waited.output]


def _given(settings: JsonMapping) -> JsonObject:
    """Only what was given: a task that a user makes need not take the others."""
    return {name: value for name, value in settings.items() if value}


def promotion_to(group: str) -> MakeTask:
    """Return a function that creates the task of a promotion into this model package group, by validation AUC."""
    return partial(SageMakerPromoteModelOperator, group=group, metric=VALIDATION_AUC.name)


class SageMakerTrainingTaskGroup(TaskGroup):
    """The tasks of a training, for a DAG with other tasks.

    :param config: a YAML file (relative to the DAG file), a `PytorchTrainingConfig`, or a mapping of its fields.
    :param group_id: the group's id; with `prefix_group_id`, task ids start with it.
    :param preprocess: a `@task` function that is called with `bucket`, `path` and `partition`, and writes
        `<path>/train/train.parquet`, `val/val.parquet` and `test/test.parquet` to the bucket.
    :param check: creates the task `check_data`; called with task_id, config, partition, aws_conn_id and the task
        settings below.
    :param start: creates `start_training`; called with the same, max_concurrent_executions and `start_args`.
    :param wait: creates `wait_for_training`; called with task_id, execution_arn, aws_conn_id, outlets, the task
        settings and `wait_args`. None: `start_training` itself is deferred until the execution has ended.
    :param report: creates the last task from the training's outcome; called with partition and outcome.
    :param promote: a model package group, whose champion the model becomes if its validation AUC is higher than the
        current champion's (`SageMakerPromoteModelOperator`); or a function that creates the task, called with task_id,
        outcome and partition.
    :param model: the asset that a successful training updates, with the model's S3 URI, metrics and the partition.
    :param partition: the date or key that a run trains.
    :param form: fields of the configuration whose values come from the DAG's `params` with the same names
        (`training_params` creates them).
    :param aws_conn_id: the Airflow connection of all tasks.
    :param max_concurrent_executions: wait while so many executions of this pipeline are running (None: no limit).
    :param pool: the pool of all tasks.
    :param retries: retries of each task, unless it sets its own.
    :param retry_delay: time between two tries of a task.
    :param notifiers: Airflow's notifiers, called by the task that waits if a metric misses a threshold or deviates from
        earlier partitions (`SageMakerTrainingPipelineSensor`).
    :param thresholds: accepted values by metric: `{"Validation AUC ROC": {"min_value": 0.7}}`.
    :param start_args: more arguments of `start`, such as mode, on_busy or sdk_python.
    :param wait_args: more arguments of `wait`, such as progress ("logs", for live curves) or timeout.

    All parameters of Airflow's task groups are accepted, too. Without `check`, or with steps before the training
    (`dependencies`, in start_args or the configuration), the data are not checked in Airflow.
    """

    def __init__(
        self,
        config: Configuration,
        group_id: str = "training",
        *,
        preprocess: MakeTask | None = None,
        check: MakeTask | None = SageMakerTableCheckOperator,
        start: MakeTask = SageMakerTrainingPipelineOperator,
        wait: MakeTask | None = SageMakerTrainingPipelineSensor,
        report: MakeTask | None = report_outcome,
        promote: MakeTask | str | None = None,
        model: Asset | None = None,
        partition: str = RUN_PARTITION,
        form: Sequence[str] = (),
        aws_conn_id: str | None = "aws_default",
        max_concurrent_executions: int | None = None,
        pool: str | None = None,
        retries: int = 3,
        retry_delay: timedelta = timedelta(seconds=30),
        notifiers: BaseNotifier | Sequence[BaseNotifier] = (),
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        start_args: JsonMapping | None = None,
        wait_args: JsonMapping | None = None,
        **kwargs: Any,
    ) -> None:
        tasks = TrainingTasks(
            preprocess, check, start, wait, report, promote, model, partition, form, aws_conn_id,
            max_concurrent_executions, pool, retries, retry_delay, notifiers, thresholds, start_args or {},
            wait_args or {},
        )  # fmt: skip
        kwargs["default_args"] = {**tasks.task_settings, **(kwargs.get("default_args") or {})}
        super().__init__(group_id=group_id, **kwargs)
        with self:
            tasks.add(config, _settings(config, Path(self.dag.fileloc).parent))


class SageMakerTrainingDag(DAG):
    """A DAG that trains a configuration for every partition: the tasks of `SageMakerTrainingTaskGroup` and a form.

    :param config: a YAML file (relative to the DAG file), a `PytorchTrainingConfig`, or a mapping of its fields. It is
        validated when the DAG is parsed.
    :param dag_id: default: the YAML file's name, or the pipeline's.
    :param schedule: a preset such as "@daily" or a cron expression, whose runs each have a partition key; or any
        schedule of Airflow's DAG.
    :param timezone: of presets and cron expressions, and of their partition keys.
    :param form: fields of the configuration that a manual trigger can change.
    :param params: more params of the DAG.
    :param max_active_runs: concurrent runs, and the default of max_concurrent_executions.
    :param start_date: the first partition that a backfill can train.

    `preprocess`, `check`, `start`, `wait`, `report`, `promote`, `model`, `pool`, `retries`, `retry_delay`, `notifiers`,
    `thresholds`, `aws_conn_id`, `max_concurrent_executions`, `start_args` and `wait_args` are those of the task group.
    All parameters of Airflow's DAG are accepted, too (callbacks, tags, `catchup`, which is off by default, and so on).
    """

    def __init__(
        self,
        config: Configuration,
        *,
        schedule: Any = "@daily",
        dag_id: str | None = None,
        timezone: str = "UTC",
        form: Sequence[str] = FORM,
        max_active_runs: int = 4,
        start_date: datetime = datetime(2020, 1, 1, tzinfo=UTC),
        params: JsonMapping | None = None,
        **kwargs: Any,
    ) -> None:
        file = sys._getframe(1).f_code.co_filename  # as Airflow finds a DAG's file; relative paths start there
        settings = _settings(config, Path(file).parent)
        of_group = {name: kwargs.pop(name) for name in TrainingTasks.names() if name in kwargs}
        of_group.setdefault("max_concurrent_executions", max_active_runs)
        tasks = TrainingTasks(form=form, **of_group)
        super().__init__(
            dag_id=dag_id or _default_dag_id(config, settings),
            schedule=partition_timetable(schedule, timezone) if isinstance(schedule, str) else schedule,
            start_date=start_date,
            params={**training_params(settings, form), **(params or {})},
            max_active_runs=max_active_runs,
            default_args={**tasks.task_settings, **(kwargs.pop("default_args", None) or {})},
            **{"catchup": False, "render_template_as_native_obj": True, "tags": ["sagemaker"], **kwargs},
        )
        self.fileloc = file
        with self:
            tasks.add(config, settings)


def _settings(config: Configuration, folder: Path) -> JsonObject:
    """Return the configuration as a mapping. Raises ConfigurationError for errors that no template fixes."""
    plain = plain_config(config)
    if isinstance(plain, Mapping):
        if plain is config:
            check_settings_when_parsed(_with_templates(plain))
        return dict(plain)
    path = folder / os.fspath(plain)
    check_when_parsed(str(path), None)
    return read_yaml(path)


def _with_templates(value: Any) -> Any:
    """Return a mapping in which what another task returns is a template of it."""
    if isinstance(value, Mapping):
        return {name: _with_templates(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_templates(inner) for inner in value]
    return str(value) if isinstance(value, XComArg) else value


def _default_dag_id(config: Configuration, settings: JsonMapping) -> str:
    if isinstance(config, str | os.PathLike):
        return Path(config).stem
    return str(settings.get("pipeline_name", "pytorch-training"))


def _input_place(settings: JsonMapping, aws_conn_id: str | None) -> dict[str, str]:
    """Return bucket and folder of a run's data, as templates, because only the connection may have the bucket."""
    if settings.get("input_path"):
        bucket, _, path = str(settings["input_path"]).removeprefix("s3://").partition("/")
        return {"bucket": bucket, "path": path.rstrip("/")}
    of_connection = f"{{{{ macros.airflow_sagemaker.bucket_of({aws_conn_id!r}) }}}}"
    name = settings.get("pipeline_name", "pytorch-training")
    return {"bucket": settings.get("bucket") or of_connection, "path": f"{name}/input/{_PARTITION_FOLDER}"}
