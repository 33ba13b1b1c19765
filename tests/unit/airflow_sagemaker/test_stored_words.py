"""This version reads what an earlier version stored in Airflow and SageMaker, and the other way round.

`data/stored_by_earlier_version.json` was written by that version, and is never edited.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.module_loading import import_string

from airflow_sagemaker.aws.executions import Execution
from airflow_sagemaker.contract import XCom
from airflow_sagemaker.links import LINKS
from airflow_sagemaker.operators import SageMakerTrainingPipelineOperator
from airflow_sagemaker.sensors import SageMakerTrainingPipelineSensor
from airflow_sagemaker.start.record import KEY, ExecutionRecord, TaskRun
from airflow_sagemaker.triggers import ENDED, FAULT, MISSING
from airflow_sagemaker.wait.execution_watch import checked_event
from airflow_sagemaker.wait.progress_report import POSITION_KEY, ProgressReport

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "stored_by_earlier_version.json").read_text())
RUN = TaskRun("train/daily", "scheduled__2013-07-04T00:00:00+00:00", "start_training", 3)
RECORDS = STORED["task_state"]["training_execution"]


def test_the_task_state_store_is_asked_for_the_same_keys() -> None:
    assert STORED["task_state"].keys() == {KEY, POSITION_KEY}


@pytest.mark.parametrize("stored", RECORDS.values(), ids=RECORDS.keys())
def test_a_record_is_read_and_would_be_read_by_that_version(stored: dict[str, Any]) -> None:
    record = ExecutionRecord.from_json(stored)
    assert record is not None
    assert record.clear_epoch == stored["max_tries"]
    assert (record.token, record.arn, record.refused) == (stored["token"], stored["arn"], stored["refused"])
    assert stored.items() <= record.to_json().items(), "that version leaves alone what it does not know"


def test_an_executions_description_says_the_same() -> None:
    execution = Execution(arn="", status="Executing", description=STORED["execution_description"])
    assert execution.clear_epoch == (2, 0)
    assert execution.owner["partition"] == "2013-07-04"
    assert RUN.owner_text("2013-07-04", 2) == STORED["execution_description"]


def test_the_checkpoints_of_a_run_are_where_they_were() -> None:
    assert RUN.run_key(2) == STORED["run_key"]


def test_the_xcom_keys_are_the_same() -> None:
    assert {XCom.STARTED, XCom.DEFINITION, XCom.OUTCOME} == STORED["xcom"].keys()
    assert {link.name: link.xcom_key for link in LINKS} == STORED["link_keys"]


@pytest.mark.parametrize("name", STORED["deferrals"])
def test_a_deferred_task_resumes(name: str) -> None:
    stored = STORED["deferrals"][name]
    trigger = import_string(stored["trigger"])(**stored["arguments"])
    path, arguments = trigger.serialize()
    assert path == stored["trigger"]
    assert stored["arguments"].items() <= arguments.items(), "that version ignores the others"
    kind = SageMakerTrainingPipelineSensor if name.startswith("sensor") else SageMakerTrainingPipelineOperator
    assert callable(getattr(kind, stored["method"]))


def test_an_event_continues_the_progress_report_where_that_version_stopped() -> None:
    event = checked_event(STORED["events"]["ended"])
    report = ProgressReport.continued("logs", event[POSITION_KEY])
    assert report.steps == {"Train": "Executing"}
    assert report.followers["job-1"].tokens == {"job-1/algo-1": "f/00001"}
    assert report.position() == STORED["task_state"]["told"] == event["told"]


def test_the_events_have_the_same_names() -> None:
    assert {name: event["event"] for name, event in STORED["events"].items()} == {
        "ended": ENDED, "missing": MISSING, "fault": FAULT,
    }  # fmt: skip


@pytest.mark.parametrize("path", STORED["class_paths"])
def test_the_classes_are_where_serialised_dags_look_for_them(path: str) -> None:
    assert import_string(path).__name__ == path.rpartition(".")[2]


def test_the_template_fields_are_still_there() -> None:
    assert set(STORED["template_fields"]["operator"]) <= set(SageMakerTrainingPipelineOperator.template_fields)
    assert set(STORED["template_fields"]["sensor"]) <= set(SageMakerTrainingPipelineSensor.template_fields)
