"""What the operators, sensors and triggers of apache-airflow-providers-amazon do, as its system tests use them.

example_sagemaker.py: training, tuning, model and their sensors. example_sagemaker_pipeline.py: start, wait and stop
of a pipeline. The deferrable forms need aiobotocore, whose pins leave no room for this project's boto3.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from .conftest import IMAGE, ROLE, WAITS, Service, training, training_arguments
from .test_tuning import request
from .tuner import tuner

__all__ = ["tuner"]
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def environment(tuner: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every boto3 client of the provider is one of this server; no connection is looked up."""
    for name, value in tuner.server.env.items():
        monkeypatch.setenv(name, value)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def channel(service: Service) -> dict[str, Any]:
    service.s3.put_object(Bucket=service.bucket, Key="data/rows.csv", Body=b"1")
    uri = f"s3://{service.bucket}/data/rows.csv"
    return {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}


def tuning(service: Service, **changes: Any) -> dict[str, Any]:
    config = {"HyperParameterTuningJobName": unique("tune"), **request(service, **changes)}
    config["TrainingJobDefinition"]["InputDataConfig"] = [channel(service)]
    return config


def test_tuning(tuner: Service) -> None:
    from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTuningOperator
    from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerTuningSensor

    config = tuning(tuner)
    operator = SageMakerTuningOperator(task_id="tune", config=config, aws_conn_id=None, check_interval=1)
    answer = operator.execute({})["Tuning"]
    assert answer["HyperParameterTuningJobStatus"] == "Completed"
    assert answer["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["MetricName"] == "loss"
    sensor = SageMakerTuningSensor(task_id="wait", job_name=config["HyperParameterTuningJobName"], aws_conn_id=None)
    assert sensor.poke({})


def test_tuning_that_fails(tuner: Service) -> None:
    from airflow.exceptions import AirflowException
    from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTuningOperator
    from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerTuningSensor

    config = tuning(tuner, mode="fail")
    operator = SageMakerTuningOperator(task_id="tune", config=config, aws_conn_id=None, check_interval=1)
    with pytest.raises(AirflowException, match="No training job succeeded after 2 attempts"):
        operator.execute({})
    sensor = SageMakerTuningSensor(task_id="wait", job_name=config["HyperParameterTuningJobName"], aws_conn_id=None)
    with pytest.raises(AirflowException, match="No training job succeeded after 2 attempts"):
        sensor.poke({})


def test_training_and_model(tuner: Service) -> None:
    from airflow.providers.amazon.aws.operators.sagemaker import SageMakerModelOperator, SageMakerTrainingOperator
    from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerTrainingSensor

    name = unique("train")
    config = training_arguments("echo w > /opt/ml/model/w", tuner.output, InputDataConfig=[channel(tuner)])
    operator = SageMakerTrainingOperator(
        task_id="train", config={"TrainingJobName": name, **config}, aws_conn_id=None, check_interval=1, print_log=True
    )
    answer = operator.execute({})["Training"]
    assert answer["TrainingJobStatus"] == "Completed"
    assert SageMakerTrainingSensor(task_id="wait", job_name=name, aws_conn_id=None, print_log=False).poke({})
    model = {"Image": IMAGE, "ModelDataUrl": answer["ModelArtifacts"]["S3ModelArtifacts"]}
    made = SageMakerModelOperator(
        task_id="model",
        config={"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": model},
        aws_conn_id=None,
    ).execute({})
    assert made["Model"]["ModelName"] == name


def test_a_pipeline(tuner: Service) -> None:
    from airflow.providers.amazon.aws.operators.sagemaker import (
        SageMakerStartPipelineOperator,
        SageMakerStopPipelineOperator,
    )
    from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerPipelineSensor

    def start(name: str, **options: Any) -> str:
        return SageMakerStartPipelineOperator(
            task_id="start", pipeline_name=name, aws_conn_id=None, check_interval=1, **options
        ).execute({})

    arn = start(tuner.create(), wait_for_completion=True)
    assert SageMakerPipelineSensor(task_id="wait", pipeline_exec_arn=arn, aws_conn_id=None).poke({})
    running = start(tuner.create(training("Train", WAITS, tuner.output)))
    stop = SageMakerStopPipelineOperator(
        task_id="stop", pipeline_exec_arn=running, aws_conn_id=None, wait_for_completion=True, check_interval=1
    )
    assert stop.execute({}) == "Stopped"
