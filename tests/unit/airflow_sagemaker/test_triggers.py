"""Triggers as Airflow's database stores them."""

from __future__ import annotations

import json

from airflow.serialization.serialized_objects import BaseSerialization
from airflow.triggers.base import BaseTrigger

from airflow_sagemaker.triggers import SHORTEST_PAUSE_SECONDS, PauseTrigger, SageMakerTrainingPipelineTrigger

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/abc123"


def rebuilt(trigger: BaseTrigger) -> BaseTrigger:
    path, arguments = trigger.serialize()
    stored = json.loads(json.dumps(BaseSerialization.serialize(arguments)))
    from airflow.sdk._shared.module_loading import import_string

    made = import_string(path)(**BaseSerialization.deserialize(stored))
    assert isinstance(made, BaseTrigger)
    return made


def test_region_verify_and_botocore_config_survive_the_hand_off() -> None:
    trigger = SageMakerTrainingPipelineTrigger(
        ARN,
        aws_conn_id="other",
        region_name="eu-west-1",
        verify="/etc/ca.pem",
        botocore_config={"read_timeout": 7},
        poll_interval=5,
        progress="logs",
        stop_on_kill=True,
    )
    again = rebuilt(trigger)
    assert again.serialize() == trigger.serialize()
    assert isinstance(again, SageMakerTrainingPipelineTrigger)
    assert again.target == trigger.target


def test_the_pause_survives_too() -> None:
    assert rebuilt(PauseTrigger(12.5)).serialize() == PauseTrigger(12.5).serialize()


def test_no_pause_is_shorter_than_what_airflow_bears() -> None:
    assert PauseTrigger(2).seconds == SHORTEST_PAUSE_SECONDS
    assert PauseTrigger(60).seconds == 60


STORED_BY_0_1_0 = {
    "execution_arn": ARN,
    "aws_conn_id": "aws_default",
    "region_name": None,
    "verify": None,
    "botocore_config": None,
    "poll_interval": 30.0,
    "patience": 600.0,
    "progress": "steps",
    "stop_on_kill": False,
}


def test_a_payload_stored_by_the_last_version_loads() -> None:
    trigger = SageMakerTrainingPipelineTrigger(**STORED_BY_0_1_0)  # type: ignore[arg-type]
    assert trigger.serialize()[1].items() >= STORED_BY_0_1_0.items()


def test_an_argument_that_is_gone_does_not_break_a_stored_trigger() -> None:
    SageMakerTrainingPipelineTrigger(**STORED_BY_0_1_0, colour="red")  # type: ignore[arg-type]
