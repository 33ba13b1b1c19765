"""The operator with a sensor, and alone, for `dag.test()` and `airflow dags test`; the environment has the sources."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from airflow_sagemaker import SageMakerTrainingPipelineOperator, SageMakerTrainingPipelineSensor
from tests.support.samples import HYPERPARAMETERS

CONFIG = {
    "pipeline_name": os.environ["TEST_PIPELINE"],
    "source_dir": os.environ["TEST_SOURCE"],
    "training_instance_type": "ml.m5.large",
    "profiler": None,
    "install_requirements": False,
    "distribution": "none",
    "hyperparameters": {**HYPERPARAMETERS, "epochs": 1},
}

with DAG("without_a_scheduler", schedule=None) as dag:
    start = SageMakerTrainingPipelineOperator(task_id="start", config=CONFIG, partition="2013-07-04")
    start >> SageMakerTrainingPipelineSensor(task_id="wait", execution_arn=start.output, poke_interval=1)
    SageMakerTrainingPipelineOperator(
        task_id="alone", config=CONFIG, partition="2013-07-05", deferrable=True, poll_interval=1
    )

if __name__ == "__main__":
    run = dag.test()
    raise SystemExit(run.state != "success")
