"""The DAG class and the task group, as tests/matrix runs them with each version of Airflow."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import DAG, Param

from airflow_sagemaker import SageMakerTrainingDag, SageMakerTrainingTaskGroup

CONFIG = {
    "pipeline_name": "one-line",
    "source_dir": str(Path(os.environ["FAULTS_DIR"]) / "source"),
    "training_instance_type": "ml.m5.large",
    "profiler": None,
    "install_requirements": False,
    "distribution": "none",
    "hyperparameters": {
        "id_name": "id",
        "label_name": "y",
        "full_field_list": ["id", "y", "a"],
        "tab_field_list": ["a"],
        "epochs": 9,
    },
}

SageMakerTrainingDag(CONFIG, dag_id="one_line", form=["epochs"], wait_args={"poke_interval": 1})

with DAG(
    "grouped",
    schedule=None,
    params={"epochs": Param(9, type="integer"), "day": "2013-07-04"},
    render_template_as_native_obj=True,
):
    SageMakerTrainingTaskGroup(
        {**CONFIG, "pipeline_name": "grouped"},
        form=["epochs"],
        partition="{{ params.day }}",
        wait=None,
        start_args={"poll_interval": 1},
    )
