"""The same training with the preprocessing inside the SageMaker pipeline: extract -> start -> wait -> report.

Each execution has two steps: a Processing job that writes the splits, and the training that reads them. Use this
variant if the data must not reach Airflow's workers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from airflow.sdk import Asset

# preprocessing/ is next to dags/ in the checkout, and Airflow adds only dags/ and plugins/ to the path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from flight_delay.training_dag import training_dag

dag = training_dag(
    "flight_delay_in_pipeline",
    pipeline="flight-delay-in-pipeline",
    model=Asset("flight_delay_model_in_pipeline"),
    preprocess_in_pipeline=True,
    doc_md=__doc__,
)
