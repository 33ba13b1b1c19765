"""SageMakerTrainingDag and SageMakerTrainingTaskGroup: tasks, order, form and schedule, as Airflow parses them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_sagemaker.exceptions import ConfigurationError
from tests.support.config_samples import TABLE

SETTINGS: dict[str, Any] = {
    "pipeline_name": "churn", "hyperparameters": TABLE | {"epochs": 7}, "training_instance_type": "ml.m5.xlarge",
}  # fmt: skip
NAMES = (
    "ModelHyperparameters, PytorchTrainingConfig, SageMakerTableCheckOperator, SageMakerTrainingDag, "
    "SageMakerTrainingPipelineSensor, SageMakerTrainingTaskGroup"
)
ALL = ["check_data", "start_training", "wait_for_training", "report"]


@pytest.fixture(scope="module", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("AIRFLOW_HOME")
    os.environ["AIRFLOW_HOME"] = str(tmp_path_factory.mktemp("airflow"))
    yield
    if before is None:
        del os.environ["AIRFLOW_HOME"]
    else:
        os.environ["AIRFLOW_HOME"] = before


def parsed(folder: Path, code: str, settings: dict[str, Any] | None = None) -> Any:
    """The DAG of a file beside the configuration `churn.yaml`, through what the scheduler stores of it."""
    from airflow.serialization.serialized_objects import DagSerialization

    (folder / "churn.yaml").write_text(yaml.safe_dump(settings or SETTINGS))
    file = folder / "churn_dag.py"
    text = f"from airflow.sdk import DAG, Asset, task\nfrom airflow_sagemaker import {NAMES}\n" + code
    found: dict[str, Any] = {}
    exec(compile(text, str(file), "exec"), found)
    DagSerialization.from_dict(DagSerialization.to_dict(found["dag"]))
    return found["dag"]


def order(dag: Any) -> list[str]:
    return [task.task_id for task in dag.topological_sort()]


def test_one_line_is_a_dag(tmp_path: Path) -> None:
    dag = parsed(tmp_path, "dag = SageMakerTrainingDag('churn.yaml', schedule='0 6 * * *')")
    assert (dag.dag_id, order(dag), dag.catchup) == ("churn", ALL, False)
    assert dag.fileloc == str(tmp_path / "churn_dag.py")
    assert (dag.timetable.run_offset, dag.timetable.key_format) == (-1, "%Y-%m-%d")
    assert dag.get_task("wait_for_training").progress == "logs"
    assert dag.get_task("start_training").max_concurrent_executions == dag.max_active_runs


def test_the_form_has_the_configurations_own_fields_ranges_and_help(tmp_path: Path) -> None:
    dag = parsed(tmp_path, "dag = SageMakerTrainingDag('churn.yaml', form=['epochs', 'dropout', 'use_spot_instances'])")
    form = {name: dag.params.get_param(name) for name in dag.params}
    assert [(name, param.value) for name, param in form.items()] == [
        ("epochs", 7), ("dropout", 0.3), ("use_spot_instances", False),
    ]  # fmt: skip
    assert form["epochs"].schema["minimum"] == 1
    assert form["dropout"].schema | {"title": ""} == {
        "type": "number", "minimum": 0, "exclusiveMaximum": 1, "title": "",
    }  # fmt: skip
    assert "dropped" in form["dropout"].description
    hyperparameters = dag.get_task("start_training").config["hyperparameters"]
    assert hyperparameters["epochs"] == "{{ params.epochs }}"
    assert dag.get_task("start_training").config["use_spot_instances"] == "{{ params.use_spot_instances }}"


@pytest.mark.parametrize(
    ("form", "rule"),
    [
        ("['epoch']", r"is not a field .* \(did you mean epochs\?\)"),
        ("['tags']", "is a list or a mapping$"),
        ("'epochs'", "should be a list of names"),
    ],
)
def test_a_form_of_what_is_no_field(tmp_path: Path, form: str, rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        parsed(tmp_path, f"dag = SageMakerTrainingDag('churn.yaml', form={form})")


def test_a_wrong_file_fails_when_the_dag_is_parsed(tmp_path: Path) -> None:
    wrong = SETTINGS | {"training_instance_type": "m5.large"}
    with pytest.raises(ConfigurationError, match=r"churn\.yaml(?s:.*)did you mean ml\.m5\.large\?"):
        parsed(tmp_path, "dag = SageMakerTrainingDag('churn.yaml')", wrong)
    with pytest.raises(ConfigurationError, match="No such file"):
        parsed(tmp_path, "dag = SageMakerTrainingDag('other.yaml')")


@pytest.mark.parametrize(
    "call", ["dag = SageMakerTrainingDag({})", "with DAG('d') as dag: SageMakerTrainingTaskGroup({})"]
)
def test_a_wrong_mapping_fails_when_the_dag_is_parsed(tmp_path: Path, call: str) -> None:
    wrong = SETTINGS | {"training_instance_count": 0, "bucket": "{{ params.bucket }}"}
    with pytest.raises(ConfigurationError, match="training_instance_count = 0") as caught:
        parsed(tmp_path, call.format(wrong))
    assert len(caught.value.violations) == 1


def test_a_mapping_may_hold_what_another_task_returns(tmp_path: Path) -> None:
    dag = parsed(
        tmp_path,
        "with DAG('d') as dag:\n"
        "    path = task(lambda: 's3://bucket/x', task_id='path')()\n"
        f"    SageMakerTrainingTaskGroup({SETTINGS} | {{'input_path': path}})\n",
    )
    assert dag.get_task("training.start_training").upstream_task_ids >= {"path"}


@pytest.mark.parametrize("argument", ["promote=True", "check='x'", "start=None", "preprocess=3"])
def test_what_makes_no_task_is_refused(tmp_path: Path, argument: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{argument.replace('=', ' = ')}: must be a class of operators"):
        parsed(tmp_path, f"dag = SageMakerTrainingDag('churn.yaml', {argument})")


def test_schedules(tmp_path: Path) -> None:
    dag = parsed(tmp_path, "dag = SageMakerTrainingDag('churn.yaml', schedule='@hourly', timezone='Asia/Taipei')")
    assert dag.timetable.key_format == "%Y-%m-%dT%H"
    assert (
        parsed(tmp_path, "dag = SageMakerTrainingDag('churn.yaml', schedule=None)").timetable.can_be_scheduled is False
    )
    assert parsed(tmp_path, "dag = SageMakerTrainingDag('churn.yaml', schedule=Asset('t'))").schedule
    with pytest.raises(ValueError, match="'@often' is not a schedule; expected one of @hourly"):
        parsed(tmp_path, "dag = SageMakerTrainingDag('churn.yaml', schedule='@often')")
    with pytest.raises(ValueError, match="'Europe/Berln' is not a time zone"):
        parsed(tmp_path, "dag = SageMakerTrainingDag('churn.yaml', timezone='Europe/Berln')")


LEFT_OUT = {
    "check=None": ALL[1:],
    "report=None": ALL[:3],
    "wait=None": ["check_data", "start_training", "report"],
    "start_args={'dependencies': 'm:f'}": ALL[1:],
}


@pytest.mark.parametrize("argument", LEFT_OUT)
def test_tasks_can_be_left_out(tmp_path: Path, argument: str) -> None:
    dag = parsed(tmp_path, f"dag = SageMakerTrainingDag('churn.yaml', {argument})")
    assert order(dag) == LEFT_OUT[argument]


def test_a_task_that_waits_itself_is_deferred(tmp_path: Path) -> None:
    dag = parsed(tmp_path, "dag = SageMakerTrainingDag('churn.yaml', wait=None, model=Asset('model'))")
    start = dag.get_task("start_training")
    assert (start.deferrable, start.wait_for_completion, [asset.name for asset in start.outlets]) == (
        True,
        True,
        ["model"],
    )
    assert dag.get_task("report").op_kwargs["outcome"].key == "outcome"


def test_tasks_can_be_replaced(tmp_path: Path) -> None:
    code = """
from functools import partial
@task
def mine(partition, outcome): ...
check = partial(SageMakerTableCheckOperator, limits={'row_ratio': 5})
dag = SageMakerTrainingDag('churn.yaml', report=mine, check=check)
"""
    dag = parsed(tmp_path, code)
    assert order(dag) == [*ALL[:3], "mine"]
    assert dag.get_task("check_data").limits == {"row_ratio": 5}


def test_promotion_by_one_argument(tmp_path: Path) -> None:
    dag = parsed(tmp_path, "dag = SageMakerTrainingDag('churn.yaml', promote='churn-models')")
    assert order(dag) == [*ALL, "promote"]
    promote = dag.get_task("promote")
    assert (promote.group, promote.metric) == ("churn-models", "Validation AUC ROC")


WATCHED = """
from airflow.providers.smtp.notifications.smtp import SmtpNotifier

mail = SmtpNotifier(to="team@example.com", subject="unusual")
bounds = {"Validation AUC ROC": {"min_value": 0.6}}
"""


@pytest.mark.parametrize(("wait", "waiting"), [("", "wait_for_training"), (", wait=None", "start_training")])
@pytest.mark.parametrize(
    "call", ["SageMakerTrainingDag(", "DAG('a', schedule=None)\nwith dag:\n    SageMakerTrainingTaskGroup("]
)
def test_notifiers_and_thresholds_reach_the_task_that_waits(tmp_path: Path, call: str, wait: str, waiting: str) -> None:
    dag = parsed(tmp_path, f"{WATCHED}\ndag = {call}'churn.yaml'{wait}, notifiers=mail, thresholds=bounds)")
    task = next(task for task in dag.tasks if task.task_id.endswith(waiting))
    assert [type(one).__name__ for one in task.notifiers] == ["SmtpNotifier"]
    assert [(one.metric, one.min_value) for one in task.thresholds] == [("Validation AUC ROC", 0.6)]


def test_notifiers_of_default_args_are_the_sensors(tmp_path: Path) -> None:
    defaults = "default_args={'notifiers': mail, 'thresholds': bounds}"
    dag = parsed(tmp_path, f"{WATCHED}\ndag = SageMakerTrainingDag('churn.yaml', {defaults})")
    assert len(dag.get_task("wait_for_training").notifiers) == len(dag.get_task("wait_for_training").thresholds) == 1


def test_preprocess_is_handed_bucket_path_and_partition(tmp_path: Path) -> None:
    code = """
@task
def preprocess(bucket, path, partition): ...
dag = SageMakerTrainingDag('churn.yaml', preprocess=preprocess)
"""
    dag = parsed(tmp_path, code)
    assert order(dag) == ["preprocess", *ALL]
    given = dag.get_task("preprocess").op_kwargs
    assert given["bucket"] == "{{ macros.airflow_sagemaker.bucket_of('aws_default') }}"
    assert given["path"].startswith("churn/input/")
    given = parsed(tmp_path, code, SETTINGS | {"input_path": "s3://b/in/{{ ds }}"}).get_task("preprocess").op_kwargs
    assert (given["bucket"], given["path"]) == ("b", "in/{{ ds }}")


OWN_TASKS = """
@task
def preprocess(bucket, path, partition): ...
@task(retries=0)
def mine(partition, outcome): ...
"""


@pytest.mark.parametrize("call", ["SageMakerTrainingDag(", "SageMakerTrainingTaskGroup("])
def test_retries_and_pool_are_those_of_every_task_that_names_none(tmp_path: Path, call: str) -> None:
    arguments = "'churn.yaml', preprocess=preprocess, report=mine, promote='g', pool='p', retries=5"
    made = f"dag = {call}{arguments})" if "Dag" in call else f"with DAG('churn') as dag:\n    {call}{arguments})"
    tasks = {task.task_id.removeprefix("training."): task for task in parsed(tmp_path, OWN_TASKS + made).tasks}
    assert tasks.pop("mine").retries == 0
    assert {name: (task.retries, task.pool) for name, task in tasks.items()} == dict.fromkeys(
        ["preprocess", *ALL[:3], "promote"], (5, "p")
    )


def test_a_group_among_other_tasks(tmp_path: Path) -> None:
    code = """
with DAG('mine', schedule=None) as dag:
    @task
    def before(): ...
    @task
    def after(): ...
    before() >> SageMakerTrainingTaskGroup('churn.yaml', pool='p', retries=1) >> after()
"""
    dag = parsed(tmp_path, code)
    assert order(dag) == ["before", *(f"training.{name}" for name in ALL), "after"]
    assert {dag.get_task(f"training.{name}").pool for name in ALL[:3]} == {"p"}
    assert dag.get_task("training.start_training").config == "churn.yaml"


def test_the_report_is_logged_and_returned() -> None:
    import logging

    from airflow_sagemaker.dag import summarise

    outcome = {"metrics": {"Validation AUC ROC": 0.8}, "model_artifact": "s3://m", "billable_seconds": 9,
               "report": {"schema": 1, "baseline": {"Validation AUC ROC": 0.5}, "test": {"auc": 0.79}}}  # fmt: skip
    found = partial(summarise, "2026-01-31", outcome)(logging.getLogger(__name__))
    assert found["metrics"] == {"Validation AUC ROC": {"model": 0.8, "constant": 0.5}}
    assert (found["test"], found["model_artifact"]) == ({"auc": 0.79}, "s3://m")
